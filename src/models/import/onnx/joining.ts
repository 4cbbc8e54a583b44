// Concat: of constants; of the two directions of a layer, which may be two nodes; of the last states of several layers.
import { LAYERS_MAX } from '../../../layers.ts';
import { type Budget, isFilledWith, joined } from './constants.ts';
import type { GraphNode } from './node.ts';
import {
  type Constant,
  type Fill,
  type Moment,
  type Path,
  type Signal,
  type States,
  type Value,
  DIRECTIONS,
  endsRecurrent,
  hasSameAtoms,
} from './value.ts';

const EXPECTED = 'the two directions of one layer, forward first, or the last states of layers';

export function concat(node: GraphNode): Value[] {
  const values = node.inputs.map((_, i) => node.input(i));
  const [first] = values;
  if (!first) throw node.malformed('without an input');
  if (values.length === 1) return [first];
  if (values.every((value) => value.kind === 'constant')) return [concatConstants(node, values)];
  const known = values.filter((value) => value.kind === 'constant' || value.kind === 'fill');
  if (known.length === values.length && known.every((value) => isZero(value, node.budget))) return [{ kind: 'fill', value: 0 }];
  if (known.length > 0) throw node.refusal('which puts constants beside what is computed', EXPECTED);
  return [mergeDirections(node, values) ?? joinStates(node, values as (Signal | States)[])];
}

function isZero(value: Constant | Fill, budget: Budget): boolean {
  return value.kind === 'fill' ? value.value === 0 : isFilledWith(value, 0, budget);
}

function concatConstants(node: GraphNode, values: readonly Constant[]): Constant {
  // An empty list may have another type than the others.
  const parts = values.filter(({ items, shape }) => items.length > 0 || shape.length > 1);
  const [first] = parts;
  if (!first) return values[0]!;
  try {
    return joined(parts, node.axis(node.integer('axis', 0), first.shape.length), node.budget);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw node.malformed('whose inputs have sizes that differ');
  }
}

/** Undefined unless they are the two directions of a layer. */
function mergeDirections(node: GraphNode, values: readonly Value[]): Signal | undefined {
  const [one, other] = values;
  if (values.length !== 2 || one?.kind !== 'signal' || other?.kind !== 'signal') return undefined;
  const hasSameAxes = one.axes.length === other.axes.length && one.axes.every((axis, i) => hasSameAtoms(axis, other.axes[i]!));
  const path = one.path === other.path ? sameLayer(one, other) : twoLayers(one.path, other.path);
  const moment = momentOf(one, other);
  if (!path || !hasSameAxes || !moment) return undefined;
  const axis = node.axis(node.integer('axis', 0), one.axes.length);
  const axes = one.axes.with(axis, [{ id: DIRECTIONS, size: 2 }, ...one.axes[axis]!]);
  return { kind: 'signal', path, axes, moment };
}

/** The last step of a forward layer beside the first of a reverse one are their last states, if all rows have all steps. */
function momentOf(one: Signal, other: Signal): Moment | undefined {
  if (one.moment === other.moment) return one.moment;
  const areStates = (one.moment === 'last' || one.moment === 'end') && (other.moment === 'first' || other.moment === 'end');
  return areStates && one.path.lengths === undefined ? 'end' : undefined;
}

function sameLayer(one: Signal, other: Signal): Path | undefined {
  return one.direction === 0 && other.direction === 1 ? one.path : undefined;
}

/** Of a forward and a reverse layer that read the same, a bidirectional one. */
function twoLayers(one: Path, other: Path): Path | undefined {
  if (!endsRecurrent(one) || !endsRecurrent(other) || one.before !== other.before) return undefined;
  const [forward, reverse] = [one.layer, other.layer];
  const isPair = forward.direction === 'forward' && reverse.direction === 'reverse' && forward.type === reverse.type;
  const isAlike = forward.activation === reverse.activation && forward.reset === reverse.reset;
  const fits = one.features === other.features && one.lengths === other.lengths && one.time === other.time;
  if (!isPair || !isAlike || !fits) return undefined;
  return {
    ...one,
    layer: { ...forward, direction: 'bidirectional', backward: reverse.weights },
    features: typeof one.features === 'number' ? 2 * one.features : undefined,
    states: [...(one.states ?? []), ...(other.states ?? [])],
    merged: [one, other],
  };
}

/** Along axis 0, one row for each layer and direction. */
function joinStates(node: GraphNode, values: readonly (Signal | States)[]): States {
  const refusal = () => node.refusal('which joins two values that both depend on x', EXPECTED);
  const rows = values.flatMap((value) => {
    if (value.kind === 'states') {
      if (value.isMoved === true) throw refusal();
      return value.rows;
    }
    const [outer = [], ...axes] = value.axes;
    if ((value.moment !== 'end' && value.moment !== 'cell') || value.axes.length !== 3) throw refusal();
    if (outer.length === 0) return [{ ...value, axes }];
    if (outer.length > 1 || outer[0]!.id !== DIRECTIONS) throw refusal();
    return [0, 1].map((direction) => ({ ...value, axes, direction }));
  });
  if (node.integer('axis', 0) !== 0 || rows.length > 2 * LAYERS_MAX) throw refusal();
  return { kind: 'states', rows };
}
