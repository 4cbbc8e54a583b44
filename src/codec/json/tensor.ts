// A JSON tensor: nested arrays of numbers, or an array that stands for them, as a TensorSource.
import { CarryoverError } from '../../errors.ts';
import type { RawTensor, TensorSource } from '../../tensor.ts';
import { copyFlat, orderOf } from '../safetensors/tensor.ts';
import { beyondFloat32, hasFloat32 } from '../float32.ts';
import { tensorOf, numbersOf } from './placeholders.ts';

export type Vector = readonly number[];
export type Matrix = readonly Vector[];
export type Cube = readonly Matrix[];

/**
 * Reads nested arrays whose element types the schema has checked; `axes` gives their depth.
 *
 * @throws ragged_array
 */
export function tensorFromJson(
  name: string,
  axes: string,
  value: Vector | Matrix | Cube,
): TensorSource {
  const moved = tensorOf(value);
  if (moved) {
    const { shape } = moved;
    const copyTo = (target: Float32Array) => copyFlat(axes, shape, numbersOf(moved), target);
    const inPlace = () => (axes.startsWith('NT') ? undefined : numbersOf(moved));
    const raw = () => rawOf(axes, shape, numbersOf(moved));
    return { name, axes, shape, copyTo, inPlace, raw };
  }
  const shape = measure(name, value, axes.length);
  return { name, axes, shape, copyTo: (target) => copy(name, axes, shape, value, target) };
}

/** Moved numbers are all finite. */
function rawOf(axes: string, shape: readonly number[], numbers: Float32Array): RawTensor {
  const { buffer, byteOffset, byteLength } = numbers;
  const bytes = new Uint8Array(buffer, byteOffset, byteLength);
  const refuse = (index: number) => new Error(`element ${index} of moved numbers is not finite`);
  return { bytes, dtype: 'F32', ...orderOf(axes, shape), refuse };
}

function measure(name: string, value: Vector | Matrix | Cube, rank: number): number[] {
  const shape: number[] = [];
  let first: unknown = value;
  for (let axis = 0; axis < rank; axis++) {
    shape.push((first as unknown[]).length);
    first = (first as unknown[])[0];
  }
  expectEqualLengths(value, shape, 0, `/${name}`);
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

function copy(
  name: string,
  axes: string,
  shape: readonly number[],
  value: Vector | Matrix | Cube,
  target: Float32Array,
): void {
  if (shape.length === 1) return copyRow(value as Vector, target, 0, `/${name}`);
  if (shape.length === 2) return copyMatrix(value as Matrix, target, 0, shape[1]!, `/${name}`);

  const [outer, inner, size] = shape as [number, number, number];
  const batchFirst = axes.startsWith('NT');
  for (let i = 0; i < outer; i++) {
    const start = batchFirst ? i * size : i * inner * size;
    const stride = batchFirst ? outer * size : size;
    copyMatrix((value as Cube)[i]!, target, start, stride, `/${name}/${i}`);
  }
}

function copyMatrix(
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

function copyRow(row: Vector, target: Float32Array, start: number, pointer: string): void {
  for (let i = 0; i < row.length; i++) {
    const value = row[i]!;
    if (!hasFloat32(value)) throw beyondFloat32(`${pointer}/${i}`, value);
    target[start + i] = value;
  }
}
