// A recurrent layer whose tensors are known by their names: do their shapes agree, and what are they in
// our layout, float32?
import { elementAt, numbersIn } from '../codec/dtypes.ts';
import { quote } from '../codec/safetensors/quote.ts';
import type { CarryoverError } from '../errors.ts';
import { type RawTensor, formatShape } from '../tensor.ts';
import { list, refusal } from './import-refusal.ts';
import type { Part } from './import-tensors.ts';

const ORIGIN_CHARACTERS_MAX = 200;

export interface ImportedTensor {
  readonly shape: readonly number[];
  /** Row-major, every value finite; of a tensor read in place made when it is asked for. @throws out_of_range */
  readonly data: Float32Array;
  /** Of a tensor that is read in place: how another thread makes the same of it. @throws client_closed */
  raw?(): RawTensor;
}

export interface ImportedModel {
  /** (D, H) */
  readonly W_x: ImportedTensor;
  /** (H, H) */
  readonly W_h: ImportedTensor;
  /** (H,) */
  readonly b?: ImportedTensor;
  /** (H, O) */
  readonly W_y?: ImportedTensor;
  /** (O,); never without W_y. */
  readonly b_y?: ImportedTensor;
}

export interface Layer {
  readonly W_x: Part;
  readonly W_h: Part;
  /** Added up; none is no bias. */
  readonly b: readonly Part[];
  readonly W_y?: Part | undefined;
  readonly b_y?: Part | undefined;
  /** Whether the matrices of the file are the transposes of ours. */
  readonly transposed: boolean;
}

/** What each tensor of ours is made of, for people. */
export function originsOf({ W_x, W_h, b, W_y, b_y, transposed }: Layer): Record<string, string> {
  const matrix = ({ name }: Part) => `${cut(name)}${transposed ? ' (transposed)' : ''}`;
  return {
    W_x: matrix(W_x),
    W_h: matrix(W_h),
    ...(b.length > 0 && { b: b.map(({ name }) => cut(name)).join(' + ') }),
    ...(W_y && { W_y: matrix(W_y) }),
    ...(b_y && { b_y: cut(b_y.name) }),
  };
}

function cut(name: string): string {
  return name.length > ORIGIN_CHARACTERS_MAX ? `${name.slice(0, ORIGIN_CHARACTERS_MAX)}…` : name;
}

/**
 * Gated cells have the names of an RNN, but their gates are stacked along the outputs.
 *
 * @throws shape_mismatch
 */
export function expectNoGates({
  W_x,
  W_h,
  transposed,
}: Pick<Layer, 'W_x' | 'W_h' | 'transposed'>): void {
  if (W_x.tensor.shape.length !== 2 || W_h.tensor.shape.length !== 2) return;
  const [outputs, inputs] = transposed ? ([0, 1] as const) : ([1, 0] as const);
  const H = W_h.tensor.shape[inputs]!;
  for (const [gates, cell] of [[4, 'an LSTM (4H)'], [3, 'a GRU (3H)']] as const) {
    const stacked = gates * H;
    if (stacked === 0 || W_x.tensor.shape[outputs] !== stacked) continue;
    if (W_h.tensor.shape[outputs] !== stacked) continue;
    throw refusal(
      'shape_mismatch',
      [W_x.name, W_h.name],
      `Tensor ${quote(W_x.name)} has shape ${describe(W_x)} and ${quote(W_h.name)} ` +
        `${describe(W_h)}, which looks like ${cell} of H = ${H}, expected a layer without gates: ` +
        'only tanh RNN layers are supported.',
    );
  }
}

/** What an axis must be, once a tensor has told it. */
interface Known {
  readonly size: number;
  readonly why: string;
}

/** @throws shape_mismatch */
export function expectShapesAgree({ W_x, W_h, b, W_y, b_y }: Layer): void {
  const known = new Map<string, Known>([['1', { size: 1, why: 'a bias is one row' }]]);
  for (const part of [W_x, W_h, ...b, W_y, b_y]) if (part) expectShape(part, known);
}

/** Adds the axes that are new to `known`. */
function expectShape(part: Part, known: Map<string, Known>): void {
  const { name, tensor, axes } = part;
  const letters = axes.split('');
  if (tensor.shape.length !== letters.length) {
    const rank = letters.length === 1 ? 'a vector' : 'a matrix';
    throw wrongShape(part, `${rank}, ${formatShape(letters)}`);
  }
  if (tensor.shape.includes(0)) throw wrongShape(part, 'at least 1 along each axis');
  const expected = letters.map((axis) => known.get(axis)?.size ?? axis);
  const odd = letters.find((axis, i) => known.has(axis) && expected[i] !== tensor.shape[i]);
  if (odd !== undefined) {
    throw wrongShape(part, `${formatShape(expected)}, because ${known.get(odd)!.why}`);
  }
  for (const [i, axis] of letters.entries()) {
    if (known.has(axis)) continue;
    const size = tensor.shape[i]!;
    const shape = `${formatShape(letters)} = ${describe(part)}`;
    known.set(axis, { size, why: `${quote(name)} ${shape} makes ${axis} = ${size}` });
  }
}

function wrongShape(part: Part, expected: string): CarryoverError {
  const message = `Tensor ${quote(part.name)} has shape ${describe(part)}, expected ${expected}.`;
  return refusal('shape_mismatch', [part.name], message);
}

/**
 * The result may share memory with the file's tensors: what needs no change is not copied.
 *
 * @param layer one that fits
 * @throws out_of_range
 */
export function toOurLayout({ W_x, W_h, b, W_y, b_y, transposed }: Layer): ImportedModel {
  const tensor = (part: Part, transposes = false) =>
    part.tensor.bytes
      ? new InPlace(part, transposes)
      : transposes
        ? transpose(toFloat32(part))
        : toFloat32(part);
  return {
    W_x: tensor(W_x, transposed),
    W_h: tensor(W_h, transposed),
    ...(b.length > 0 && { b: addUp(b) }),
    ...(W_y && { W_y: tensor(W_y, transposed) }),
    ...(b_y && { b_y: tensor(b_y) }),
  };
}

/** Its shape is known and nothing else is done before somebody wants its numbers. */
class InPlace implements ImportedTensor {
  readonly shape: readonly number[];
  readonly #part: Part;
  readonly #transposes: boolean;

  constructor(part: Part, transposes: boolean) {
    const { shape } = part.tensor;
    this.shape = transposes ? shape.toReversed() : shape;
    this.#part = part;
    this.#transposes = transposes;
  }

  get data(): Float32Array {
    const { data } = this.#transposes ? transpose(toFloat32(this.#part)) : toFloat32(this.#part);
    return data;
  }

  raw(): RawTensor {
    const { tensor } = this.#part;
    const { dtype, shape } = tensor;
    const [A = 1, B = 1] = shape;
    const bytes = tensor.bytes!;
    const refuse = (index: number) => {
      const [value] = numbersIn(elementAt(bytes, dtype, index), dtype);
      return notFinite(this.#part, index, value!);
    };
    return { bytes, dtype, sizes: [A, B, 1], swaps: this.#transposes, refuse };
  }
}

function toFloat32(part: Part): ImportedTensor {
  const { tensor } = part;
  const { shape } = tensor;
  const data = tensor.data instanceof Float32Array ? tensor.data : new Float32Array(tensor.data);
  const at = findNotFinite(data);
  if (at >= 0) throw notFinite(part, at, tensor.data[at]!);
  return { shape, data };
}

function notFinite({ name, tensor }: Part, at: number, value: number): CarryoverError {
  const place = `[${indicesOf(at, tensor.shape).join(', ')}]`;
  return outOfRange([name], `Tensor ${quote(name)} is ${value} at ${place}`);
}

function findNotFinite(data: Float32Array): number {
  // Not findIndex: a call for each of some million weights takes four times as long.
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) return i;
  return -1;
}

function indicesOf(at: number, shape: readonly number[]): number[] {
  const indices: number[] = [];
  let rest = at;
  for (const size of shape.toReversed()) {
    indices.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return indices;
}

/** One bias, or torch's two: added in float64 as they are in the file, then rounded. */
function addUp(parts: readonly Part[]): ImportedTensor {
  const [bias, ...others] = parts.map(toFloat32);
  const shape = [bias!.data.length];
  if (others.length === 0) return { shape, data: bias!.data };
  const [first, second] = parts as [Part, Part];
  const sums = Float64Array.from(first.tensor.data, (b_i, i) => b_i + second.tensor.data[i]!);
  const data = new Float32Array(sums);
  const at = findNotFinite(data);
  if (at >= 0) {
    const names = [first.name, second.name];
    throw outOfRange(names, `The sum of tensors ${list(names)} is ${sums[at]} at [${at}]`);
  }
  return { shape, data };
}

/** (rows, columns) → (columns, rows) */
function transpose({ shape, data }: ImportedTensor): ImportedTensor {
  const [rows, columns] = shape as [number, number];
  const result = new Float32Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) result[j * rows + i] = data[i * columns + j]!;
  }
  return { shape: [columns, rows], data: result };
}

function outOfRange(names: readonly string[], found: string): CarryoverError {
  const expected = 'expected a finite float32, whose largest magnitude is 3.4028235e38';
  return refusal('out_of_range', names, `${found}, ${expected}.`);
}

/** Cut, as whoever made the file may give a tensor thousands of axes. */
function describe({ tensor: { shape } }: Part): string {
  return formatShape(shape.length > 8 ? [...shape.slice(0, 8), '…'] : shape);
}
