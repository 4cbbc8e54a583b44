// Tensors that are known in the file: they are sliced, joined and transposed as their nodes say. Exporters write weights
// so, e.g. their gates in another order, and compute shapes from sizes, of which some may be open.
import { notRead } from '../../../codec/onnx/errors.ts';
import { type Size, isSame } from './size.ts';
import { type Constant, type Piece, NAME_CHARACTERS_MAX } from './value.ts';

type Items = Constant['items'];

/** How many numbers may be read and copied: a bound of memory and time, some times what the largest file has. */
const NUMBERS_MAX = 2 ** 25;
/** What an item that may be an open size counts. */
const NUMBERS_PER_SIZE = 256;
/** Of pieces that are told apart, for names. */
const PIECES_MAX = 64;
const COPIED_SINGLY_MAX = 32;

/** What is left of the numbers that may be read and copied. */
export class Budget {
  #left = NUMBERS_MAX;

  /** @throws model_file_unsupported */
  take(numbers: number): void {
    this.#left -= numbers;
    if (this.#left >= 0) return;
    throw notRead(
      `computes more than ${NUMBERS_MAX} numbers from its tensors`,
      'Expected the tensors as they are used: export with do_constant_folding=True.',
    );
  }
}

export function countOf(shape: readonly number[]): number {
  return shape.reduce((count, size) => count * size, 1);
}

/** Elements from one index of an axis to the next. */
function stridesOf(shape: readonly number[]): number[] {
  return shape.map((_, axis) => countOf(shape.slice(axis + 1)));
}

export function reshaped(source: Constant, shape: readonly number[]): Constant {
  return { ...source, shape };
}

export function transposed(source: Constant, perm: readonly number[], budget: Budget): Constant {
  const strides = stridesOf(source.shape);
  const of = (list: readonly number[]) => perm.map((axis) => list[axis]!);
  return strided(source, { shape: of(source.shape), offset: 0, strides: of(strides) }, budget);
}

/** Some indices of an axis, each `step` behind the one before. */
export interface Range {
  readonly start: number;
  readonly count: number;
  readonly step: number;
}

export function sliced(source: Constant, axis: number, { start, count, step }: Range, budget: Budget): Constant {
  const strides = stridesOf(source.shape);
  const stride = strides[axis]!;
  const offset = count === 0 ? 0 : start * stride;
  const shape = source.shape.with(axis, count);
  return strided(source, { shape, offset, strides: strides.with(axis, stride * step) }, budget);
}

/** Repeats axes of size 1. @throws RangeError if the shapes do not fit */
export function expanded(source: Constant, shape: readonly number[], budget: Budget): Constant {
  const rank = Math.max(shape.length, source.shape.length);
  const padded = [...Array<number>(rank - source.shape.length).fill(1), ...source.shape];
  const wanted = [...Array<number>(rank - shape.length).fill(1), ...shape];
  const strides = stridesOf(padded).map((stride, axis) => (padded[axis] === 1 ? 0 : stride));
  const sizes = padded.map((size, axis) => {
    const other = wanted[axis]!;
    if (size !== other && size !== 1 && other !== 1) throw new RangeError(`${size} is not ${other}`);
    return size === 1 ? other : size;
  });
  return strided(source, { shape: sizes, offset: 0, strides }, budget);
}

/** Behind each other along an axis; all other sizes have to be the same. @throws RangeError if they are not */
export function joined(parts: readonly Constant[], axis: number, budget: Budget): Constant {
  const [first] = parts as [Constant];
  const fits = ({ shape }: Constant) =>
    shape.length === first.shape.length && shape.every((size, i) => i === axis || size === first.shape[i]);
  if (!parts.every(fits)) throw new RangeError('sizes differ');
  const shape = first.shape.with(axis, parts.reduce((total, part) => total + part.shape[axis]!, 0));
  const count = countOf(shape);
  const items = itemsLike(parts.map((part) => part.items), count, budget);
  const outer = countOf(shape.slice(0, axis));
  let at = 0;
  for (let block = 0; block < outer; block++) {
    for (const part of parts) {
      const length = countOf(part.shape.slice(axis));
      copy(part.items, block * length, length, items, at);
      at += length;
    }
  }
  const pieces = outer === 1 ? parts.flatMap((part) => part.pieces) : [onePiece(parts, count)];
  return { ...first, shape, items, pieces: pieces.length > PIECES_MAX ? [onePiece(parts, count)] : pieces };
}

/** All names as one, where the items of several tensors are mixed. It is cut, as it may be mixed again and again. */
function onePiece(parts: readonly Constant[], count: number): Piece {
  return { name: namesOf(parts).slice(0, PIECES_MAX).join(', ').slice(0, NAME_CHARACTERS_MAX), count };
}

/** The names of the tensors that they are made of, each once. */
export function namesOf(parts: readonly Pick<Constant, 'pieces'>[]): readonly string[] {
  return [...new Set(parts.flatMap(({ pieces }) => pieces.map(({ name }) => name)))].filter((name) => name !== '');
}

/** An array that can hold the items of all these. */
function itemsLike(sources: readonly Items[], length: number, budget: Budget): Float32Array | Float64Array | Size[] {
  const areSizes = sources.some((items) => Array.isArray(items));
  budget.take(areSizes ? length * NUMBERS_PER_SIZE : length);
  if (areSizes) return Array<Size>(length).fill(0);
  const areFloat32 = sources.every((items) => items instanceof Float32Array);
  return areFloat32 ? new Float32Array(length) : new Float64Array(length);
}

/** As a whole, if they are many: that is some times faster than one by one. */
function copy(source: Items, start: number, count: number, target: Float32Array | Float64Array | Size[], at: number): void {
  if (!Array.isArray(target) && count > COPIED_SINGLY_MAX) {
    target.set(itemsAt(source, start, count) as ArrayLike<number>, at);
    return;
  }
  for (let i = 0; i < count; i++) target[at + i] = source[start + i] as number;
}

interface View {
  readonly shape: readonly number[];
  readonly offset: number;
  readonly strides: readonly number[];
}

/** The elements at offset + Σ index · stride, in place if they stand behind each other. */
function strided(source: Constant, { shape, offset, strides }: View, budget: Budget): Constant {
  const { items } = source;
  const count = countOf(shape);
  const expected = stridesOf(shape);
  if (shape.every((size, axis) => size === 1 || strides[axis] === expected[axis])) {
    return { ...source, shape, items: itemsAt(items, offset, count), pieces: piecesAt(source, offset, count) };
  }
  const target = itemsLike([items], count, budget);
  const indices = shape.map(() => 0);
  let from = offset;
  for (let i = 0; i < count; i++) {
    target[i] = items[from] as number;
    // To the next index: the last axis first, and the one before it when that has reached its end.
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      from += strides[axis]!;
      if (++indices[axis]! < shape[axis]!) break;
      from -= strides[axis]! * shape[axis]!;
      indices[axis] = 0;
    }
  }
  return { ...source, shape, items: target, pieces: [onePiece([source], count)] };
}

/** In place, if they are in a typed array. */
export function itemsAt(items: Items, start: number, count: number): Items {
  if (items instanceof Float32Array || items instanceof Float64Array) return items.subarray(start, start + count);
  return items.slice(start, start + count);
}

/** What of each piece is in a range of the items. */
export function piecesAt({ pieces }: Constant, start: number, count: number): readonly Piece[] {
  let at = 0;
  return pieces.flatMap((piece) => {
    const from = Math.max(start, at);
    at += piece.count;
    const left = Math.min(start + count, at) - from;
    return left > 0 ? [{ name: piece.name, count: left }] : [];
  });
}

/** Whether all items are this value. */
export function isFilledWith({ items }: Constant, value: Size, budget: Budget): boolean {
  budget.take(items.length);
  // A loop, as there may be millions.
  for (let i = 0; i < items.length; i++) if (!isSame(items[i], value)) return false;
  return true;
}

/**
 * Applies an operation to two tensors, repeated to a common shape. The result is floats if both are, else sizes.
 *
 * @throws RangeError if their shapes do not fit
 */
export function combined(
  a: Constant,
  b: Constant,
  operation: (a: Size, b: Size) => Size,
  budget: Budget,
): Constant {
  const [one, other] = [expanded(a, b.shape, budget), expanded(b, a.shape, budget)];
  const count = one.items.length;
  const isInteger = a.isInteger || b.isInteger;
  const items = itemsLike(isInteger ? [[]] : [one.items, other.items], count, budget);
  for (let i = 0; i < count; i++) items[i] = operation(one.items[i], other.items[i]) as number;
  return { ...one, items, isInteger, pieces: [onePiece([a, b], count)] };
}
