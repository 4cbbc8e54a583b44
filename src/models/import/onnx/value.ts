// What the values of a graph are, as far as they have to be known: constants, sizes, and what x has become behind some
// layers, with the order of its axes.
import { CarryoverError } from '../../../errors.ts';
import { LAYERS_MAX } from '../../../layers.ts';
import type { FoundDense, FoundEmbedding, FoundRecurrent } from '../layer.ts';
import type { Size } from './size.ts';

/** Known numbers, or sizes of which some are open. Row-major. */
export interface Constant {
  readonly kind: 'constant';
  readonly shape: readonly number[];
  readonly items: Float32Array | Float64Array | readonly Size[];
  readonly isInteger: boolean;
  /** The tensors of the file that it is made of, in the order of its items. */
  readonly pieces: readonly Piece[];
}

export interface Piece {
  readonly name: string;
  /** Items. */
  readonly count: number;
}

/** Any number of the same value: what is filled to a shape with open sizes. */
export interface Fill {
  readonly kind: 'fill';
  readonly value: Size;
}

/** A part of an axis. An axis of size 1 may have none, and one that was made by merging has several, the outer first. */
export interface Atom {
  /** FEATURES, DIRECTIONS, or the axis of an input, e.g. `x[0]`. */
  readonly id: string;
  readonly size: Size;
}

export type Axis = readonly Atom[];

export const FEATURES = 'features';
export const DIRECTIONS = 'directions';

/** An input of the graph that is no initializer. */
export interface GraphInput {
  readonly name: string;
  readonly isInteger: boolean;
}

/** x ∘ scale + offset, in float64. */
export interface Affine {
  readonly type: 'affine';
  readonly scale: Float64Array;
  /** Undefined if there is none. */
  readonly offset: Float64Array | undefined;
  /** Of the tensors of the file that they are made of. */
  readonly scaleNames: readonly string[];
  readonly offsetNames: readonly string[];
}

export type PathLayer = FoundEmbedding | Affine | FoundDense | FoundRecurrent;

/** x, and the layers that it has passed. */
export interface Path {
  readonly input: GraphInput;
  /** How many layers. */
  readonly depth: number;
  /** Undefined of the input itself, as is what follows. */
  readonly before?: Path | undefined;
  readonly layer?: PathLayer | undefined;
  /** The node of the layer, as errors name it. */
  readonly title?: string | undefined;
  /** Outputs of the layer, or the features of the input. */
  readonly features: Size;
  /** The axes of the input that are the steps and the rows of the recurrent layers; empty if they have size 1. */
  readonly time?: string | undefined;
  readonly rows?: string | undefined;
  /** The input that says how many steps each row has. */
  readonly lengths?: string | undefined;
  /** Where the layer's states come from, if they are not zeros. */
  readonly states?: readonly InitialState[] | undefined;
  /** The forward and the reverse layer of which a bidirectional one was made. */
  readonly merged?: readonly Path[] | undefined;
}

export interface InitialState {
  readonly state: 'h' | 'c';
  /** Of the graph. */
  readonly input: string;
  readonly firstRow: number;
  /** How many: one for each direction. */
  readonly rows: number;
}

/**
 * Of which steps a value is. `end`: h after all steps of each row, which for a reverse layer is at the first; `cell`: c
 * then.
 */
export type Moment = 'steps' | 'first' | 'last' | 'end' | 'cell';

/** What x, or another input, has become. */
export interface Signal {
  readonly kind: 'signal';
  readonly path: Path;
  readonly axes: readonly Axis[];
  readonly moment: Moment;
  /** Which direction of a bidirectional layer it is, if it is one of them alone. */
  readonly direction?: number | undefined;
  /** Of an input of which only some rows are left: the first of them. They are the states of one layer of several. */
  readonly firstRow?: number | undefined;
}

/** The states of several layers behind each other, along axis 0. */
export interface States {
  readonly kind: 'states';
  /** Without axis 0. */
  readonly rows: readonly Signal[];
  /** Whether its axes were changed, after which it is only returned. */
  readonly isMoved?: boolean | undefined;
}

export type Value = Constant | Fill | Signal | States;

/** Longer names are cut. */
export const NAME_CHARACTERS_MAX = 200;

/** @param name of the tensor of the file that it is */
export function constant(
  shape: readonly number[],
  items: Constant['items'],
  { isInteger = true, name = '' }: { readonly isInteger?: boolean; readonly name?: string } = {},
): Constant {
  return { kind: 'constant', shape, items, isInteger, pieces: [{ name: name.slice(0, NAME_CHARACTERS_MAX), count: items.length }] };
}

/** The axis of the features, as a layer reads it: of a bidirectional layer both directions. */
export function featureAxis({ layer, features }: Path): Axis {
  if (layer && 'direction' in layer && layer.direction === 'bidirectional') {
    const size = typeof features === 'number' ? features / 2 : undefined;
    return [{ id: DIRECTIONS, size: 2 }, { id: FEATURES, size }];
  }
  return [{ id: FEATURES, size: features }];
}

/** Where the features are, if they are an axis of their own; else -1. */
export function indexOfFeatures({ axes, path }: Signal): number {
  const expected = featureAxis(path);
  return axes.findIndex((axis) => hasSameAtoms(axis, expected));
}

export function hasSameAtoms(one: Axis, other: Axis): boolean {
  return one.length === other.length && one.every(({ id }, i) => id === other[i]!.id);
}

/** The path with one more layer. @param features its outputs · @throws limit_exceeded */
export function pathBehind(before: Path, layer: PathLayer, title: string, features: Size): Path {
  const { input, time, rows, lengths } = before;
  const depth = before.depth + 1;
  if (depth > LAYERS_MAX) {
    const detail = `The ONNX file has more than ${LAYERS_MAX} layers up to ${title}; a model has at most ${LAYERS_MAX}.`;
    throw new CarryoverError('limit_exceeded', { detail });
  }
  return { input, depth, before, layer, title, features, time, rows, lengths };
}

/** Whether the last layer of a path is a recurrent one. */
export function endsRecurrent(path: Path): path is Path & { readonly layer: FoundRecurrent } {
  return path.layer !== undefined && 'weights' in path.layer;
}
