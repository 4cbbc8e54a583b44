// A tensor of a JSON body as a TensorSource. In the parsed body it is nested arrays of numbers, or a placeholder
// for numbers in linear memory.
import { CarryoverError } from '../../errors.ts';
import type { RawTensor, TensorSource } from '../../tensor.ts';
import { axisOrder, copyTimeFirst, swapsAxes } from '../axis-order.ts';
import { beyondFloat32, hasFloat32 } from '../float32.ts';
import { type ParsedTensor, numbersOf, tensorOf } from './placeholders.ts';

export type Vector = readonly number[];
export type Matrix = readonly Vector[];
export type Cube = readonly Matrix[];

/**
 * The tensor that `value` is, or stands for.
 *
 * @param name where it is in the body, e.g. `weights/W_x`
 * @param axes a letter for each axis, e.g. `TND`
 * @param value of that depth, its elements numbers: the schema has checked both
 * @throws ragged_array if the arrays of an axis differ in length
 */
export function tensorFromJson(name: string, axes: string, value: Vector | Matrix | Cube): TensorSource {
  const parsed = tensorOf(value);
  return parsed ? sourceOf(name, axes, parsed) : new NestedArrays(name, axes, value);
}

/** A tensor in linear memory, whose elements are all finite. */
function sourceOf(name: string, axes: string, tensor: ParsedTensor): TensorSource {
  const { shape } = tensor;
  return {
    name,
    axes,
    shape,
    copyTo: (target) => copyTimeFirst(axes, shape, numbersOf(tensor), target),
    inPlace: () => (swapsAxes(axes) ? undefined : numbersOf(tensor)),
    raw: () => rawOf(axes, shape, numbersOf(tensor)),
  };
}

function rawOf(axes: string, shape: readonly number[], numbers: Float32Array): RawTensor {
  const { buffer, byteOffset, byteLength } = numbers;
  const bytes = new Uint8Array(buffer, byteOffset, byteLength);
  const errorAt = (index: number) => new Error(`element ${index} of a parsed tensor is not finite`);
  return { bytes, dtype: 'F32', ...axisOrder(axes, shape), errorAt };
}

class NestedArrays implements TensorSource {
  readonly name: string;
  readonly axes: string;
  readonly shape: readonly number[];
  readonly #value: Vector | Matrix | Cube;

  /** @throws ragged_array */
  constructor(name: string, axes: string, value: Vector | Matrix | Cube) {
    this.name = name;
    this.axes = axes;
    this.shape = shapeOf(value, axes.length);
    this.#value = value;
    expectEqualLengths(value, this.shape, 0, `/${name}`);
  }

  /** @throws out_of_range */
  copyTo(target: Float32Array): void {
    const pointer = `/${this.name}`;
    const value = this.#value;
    const [outer, inner, size] = this.shape as [number, number, number];
    const swaps = swapsAxes(this.axes);
    if (this.shape.length === 1) return copyRow(value as Vector, target, 0, pointer);
    if (this.shape.length === 2 && !swaps) return copyRows(value as Matrix, target, 0, inner, pointer);
    if (this.shape.length === 2) return copyColumns(value as Matrix, target, pointer);
    for (let i = 0; i < outer; i++) {
      const start = swaps ? i * size : i * inner * size;
      const stride = swaps ? outer * size : size;
      copyRows((value as Cube)[i]!, target, start, stride, `${pointer}/${i}`);
    }
  }
}

/** The length of the first array of each axis. */
function shapeOf(value: readonly unknown[], rank: number): readonly number[] {
  const shape = [value.length];
  for (let inner = value; shape.length < rank; shape.push(inner.length)) inner = inner[0] as unknown[];
  return shape;
}

function expectEqualLengths(
  value: readonly unknown[],
  shape: readonly number[],
  axis: number,
  pointer: string,
): void {
  if (value.length !== shape[axis]) {
    const message = `${pointer} has ${value.length} elements; its first sibling has ${shape[axis]}.`;
    throw new CarryoverError('ragged_array', { detail: message, errors: [{ pointer, message }] });
  }
  if (axis + 1 === shape.length) return;
  for (let i = 0; i < value.length; i++) {
    expectEqualLengths(value[i] as unknown[], shape, axis + 1, `${pointer}/${i}`);
  }
}

/** @param stride numbers from one row of `target` to the next */
function copyRows(
  rows: Matrix,
  target: Float32Array,
  start: number,
  stride: number,
  pointer: string,
): void {
  for (let i = 0; i < rows.length; i++) {
    copyRow(rows[i]!, target, start + i * stride, `${pointer}/${i}`);
  }
}

/** (N, T) → (T, N) */
function copyColumns(rows: Matrix, target: Float32Array, pointer: string): void {
  const column = new Float32Array(rows[0]!.length);
  for (let n = 0; n < rows.length; n++) {
    copyRow(rows[n]!, column, 0, `${pointer}/${n}`);
    for (let t = 0; t < column.length; t++) target[t * rows.length + n] = column[t]!;
  }
}

function copyRow(row: Vector, target: Float32Array, start: number, pointer: string): void {
  for (let i = 0; i < row.length; i++) {
    const value = row[i]!;
    if (!hasFloat32(value)) throw beyondFloat32(`${pointer}/${i}`, value);
    target[start + i] = value;
  }
}
