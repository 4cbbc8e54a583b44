// Slice, Split and Gather: of constants any part; of what a layer returns one step, or one direction; of an input of
// states those of one layer. A Gather by x is an embedding.
import { type Range, joined, reshaped, sliced } from './constants.ts';
import type { GraphNode } from './node.ts';
import { sizeOf } from './reshape.ts';
import { type Size, formatSize } from './size.ts';
import { fileTensor } from './tensors.ts';
import {
  type Constant,
  type Moment,
  type Signal,
  type States,
  type Value,
  DIRECTIONS,
  FEATURES,
  pathBehind,
} from './value.ts';

/** Of a Split. */
const PARTS_MAX = 256;
/** Ends of slices of open axes are some largest integer. */
const OPEN_END = 2 ** 31 - 1;
const STEPS = 'all steps, or the first or the last of them';

type Selectable = Constant | Signal | States;

export function slice(node: GraphNode): Value[] {
  const value = node.input(0);
  if (value.kind === 'fill') return [value];
  const isOld = node.opset < 10;
  const list = (index: number, name: string) =>
    isOld ? node.integers(name) : node.inputs[index] && node.integersOf(index, name);
  const [starts, ends, axes, steps] = ['starts', 'ends', 'axes', 'steps'].map((name, i) => list(i + 1, name));
  if (starts?.length !== ends?.length || !starts || !ends) throw node.malformed('without as many starts as ends');
  let taken: Selectable = value;
  for (const [i, start] of starts.entries()) {
    const axis = node.axis(axes ? (axes[i] ?? NaN) : i, rankOf(taken));
    taken = sliceAxis(node, taken, axis, { start, end: ends[i]!, step: steps?.[i] ?? 1 });
  }
  return [taken];
}

function rankOf(value: Selectable): number {
  if (value.kind === 'constant') return value.shape.length;
  return value.kind === 'signal' ? value.axes.length : 1 + (value.rows[0]?.axes.length ?? 0);
}

function sizeOfAxis(value: Selectable, axis: number): Size {
  if (value.kind === 'constant') return value.shape[axis];
  if (value.kind === 'signal') return sizeOf(value.axes[axis] ?? []);
  return axis === 0 ? value.rows.length : undefined;
}

interface Bounds {
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

function sliceAxis(node: GraphNode, value: Selectable, axis: number, { start, end, step }: Bounds): Selectable {
  if (step === 0) throw node.malformed('with step 0');
  const size = sizeOfAxis(value, axis);
  if (typeof size === 'number') return part(node, value, axis, rangeOf({ start, end, step }, size), false);
  const isToEnd = end >= OPEN_END;
  if (step === 1 && start === 0 && isToEnd) return value;
  if (step === 1 && start === 0 && end === 1) return partOfOpen(node, value, axis, 'first', false);
  if (step === 1 && start === -1 && isToEnd) return partOfOpen(node, value, axis, 'last', false);
  throw node.refusal(`which takes ${start} to ${end} in steps of ${step} of ${formatSize(size)}`, STEPS);
}

/** https://onnx.ai/onnx/operators/onnx__Slice.html */
function rangeOf({ start, end, step }: Bounds, size: number): Range {
  const [low, high] = step > 0 ? [0, size] : [-1, size - 1];
  const clamp = (at: number) => Math.min(high, Math.max(low, at < 0 ? at + size : at));
  const from = step < 0 ? Math.max(0, clamp(start)) : clamp(start);
  return { start: from, count: Math.max(0, Math.ceil((clamp(end) - from) / step)), step };
}

/** @param drops whether the axis, then of one index, is removed */
function part(node: GraphNode, value: Selectable, axis: number, range: Range, drops: boolean): Selectable {
  switch (value.kind) {
    case 'constant': {
      const taken = sliced(value, axis, range, node.budget);
      return drops ? reshaped(taken, taken.shape.toSpliced(axis, 1)) : taken;
    }
    case 'states':
      return partOfStates(node, value, axis, range, drops);
    case 'signal':
      return partOfSignal(node, value, axis, range, drops);
  }
}

function partOfStates(
  node: GraphNode,
  { rows, isMoved = false }: States,
  axis: number,
  { start, count, step }: Range,
  drops: boolean,
): Signal | States {
  if (axis !== 0 || step !== 1 || isMoved || count === 0) {
    throw node.refusal('which takes a part of the states of several layers', 'the states of whole layers, along axis 0');
  }
  const taken = rows.slice(start, start + count);
  if (count > 1) return { kind: 'states', rows: taken };
  const one = taken[0]!;
  return drops ? one : { ...one, axes: [[], ...one.axes] };
}

function partOfSignal(node: GraphNode, value: Signal, axis: number, range: Range, drops: boolean): Signal {
  const { start, count, step } = range;
  const { axes, path } = value;
  const atoms = axes[axis]!;
  const size = sizeOf(atoms) as number;
  if (step === 1 && count === size && !drops) return value;
  const left = drops ? axes.toSpliced(axis, 1) : axes.with(axis, []);
  if (size === 1 && count === 1) return { ...value, axes: left };
  const [atom] = atoms;
  if (atom && step === 1 && count > 0 && axis === 0 && !path.layer) {
    const rest = count === 1 ? left : axes.with(0, [{ id: atom.id, size: count }]);
    return { ...value, axes: rest, firstRow: (value.firstRow ?? 0) + start };
  }
  if (atoms.length === 1 && atom?.id === DIRECTIONS && count === 1) return { ...value, axes: left, direction: start };
  const isEnd = start === 0 || start === size - 1;
  if (atoms.length === 1 && atom?.id === path.time && path.layer && count === 1 && isEnd) {
    return atMoment(node, value, left, start === 0 ? 'first' : 'last');
  }
  throw node.refusal(`which takes a part of axis ${axis} of what ${path.title ?? 'an input'} returns`, STEPS);
}

/** One step of an open number of them. */
function partOfOpen(node: GraphNode, value: Selectable, axis: number, moment: Moment, drops: boolean): Signal {
  if (value.kind === 'signal' && value.path.layer && value.path.time !== undefined) {
    const { axes, path } = value;
    const [atom, ...more] = axes[axis]!;
    if (more.length === 0 && atom?.id === path.time) {
      return atMoment(node, value, drops ? axes.toSpliced(axis, 1) : axes.with(axis, []), moment);
    }
  }
  throw node.refusal(`which takes a part of axis ${axis}`, `of what a recurrent layer returns ${STEPS}`);
}

function atMoment(node: GraphNode, value: Signal, axes: Signal['axes'], moment: Moment): Signal {
  if (value.moment !== 'steps') throw node.refusal('which takes one step of what has one', STEPS);
  return { ...value, axes, moment };
}

export function split(node: GraphNode): Value[] {
  const value = node.input(0);
  const outputs = node.outputNames.length;
  if (outputs > PARTS_MAX) throw node.refusal(`which makes ${outputs} parts`, `at most ${PARTS_MAX}`);
  if (value.kind === 'fill') return node.outputNames.map(() => value);
  const axis = node.axis(node.integer('axis', 0), rankOf(value));
  const size = sizeOfAxis(value, axis);
  if (typeof size !== 'number') {
    throw node.refusal(`which splits ${formatSize(size)}`, 'the directions, or the states of the layers');
  }
  const given = node.inputs[1] ? node.integersOf(1, 'sizes') : node.integers('split');
  const each = Math.ceil(size / outputs);
  const counts = given ?? node.outputNames.map((_, i) => Math.max(0, Math.min(each, size - i * each)));
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (counts.length !== outputs || counts.some((count) => count < 0) || total !== size) {
    throw node.malformed(`that splits ${size} into (${counts.join(', ')})`);
  }
  let start = 0;
  return counts.map((count) => {
    const taken = part(node, value, axis, { start, count, step: 1 }, false);
    start += count;
    return taken;
  });
}

export function gather(node: GraphNode): Value[] {
  const value = node.input(0);
  const by = node.input(1);
  if (by.kind === 'signal') return [embedding(node, value, by)];
  if (value.kind === 'fill') return [value];
  const axis = node.axis(node.integer('axis', 0), rankOf(value));
  const indices = node.integersOf(1, 'indices');
  const rank = node.constant(1, 'indices').shape.length;
  if (rank > 1 || indices.length === 0) throw node.refusal(`whose indices have ${rank} axes`, 'one index, or a list of them');
  const drops = rank === 0;
  const size = sizeOfAxis(value, axis);
  if (typeof size !== 'number') {
    const [index] = indices;
    if (indices.length > 1 || (index !== 0 && index !== -1)) {
      throw node.refusal(`which takes ${indices.join(', ')} of ${formatSize(size)}`, 'the first step (0) or the last (-1)');
    }
    return [partOfOpen(node, value, axis, index === 0 ? 'first' : 'last', drops)];
  }
  const parts = indices.map((index) => {
    if (index < -size || index >= size) throw node.malformed(`that takes index ${index} of ${size}`);
    return part(node, value, axis, { start: index < 0 ? index + size : index, count: 1, step: 1 }, drops);
  });
  if (parts.length === 1) return [parts[0]!];
  if (parts.every((one) => one.kind === 'constant')) return [joined(parts, axis, node.budget)];
  throw node.refusal(`which takes ${indices.join(', ')} of an axis`, 'one of them, or a Slice');
}

/** Rows of a matrix (V, D) by x: D features more. */
function embedding(node: GraphNode, value: Value, by: Signal): Signal {
  const { path, axes, moment } = by;
  if (value.kind !== 'constant' || value.isInteger || node.integer('axis', 0) !== 0 || value.shape.length !== 2) {
    throw node.refusal('which takes what an input says', 'an embedding: the rows (axis 0) of a constant matrix of floats');
  }
  if (path.layer || !path.input.isInteger || by.firstRow !== undefined) {
    throw node.refusal('whose row numbers are computed', 'integers that are an input, as x of an embedding');
  }
  const D = value.shape[1]!;
  const behind = pathBehind(path, { type: 'embedding', E: fileTensor(value, ['V', 'D']) }, node.title, D);
  return { kind: 'signal', path: behind, axes: [...axes, [{ id: FEATURES, size: D }]], moment };
}
