// JSON answers out: tensors → text, each number as the shortest decimal of its float32.
import type { TensorView } from '../../tensor.ts';
import { shortest } from '../float32.ts';

/** Nested arrays, the first axis outermost. Every element must be finite. */
export function tensorToJson(view: TensorView): string {
  return axisToJson(view, 0, 0);
}

/** The same numbers with the first two axes exchanged: (T, N, H) as (N, T, H). */
export function swapAxes({ shape, strides, data }: TensorView): TensorView {
  const [first, second, ...rest] = shape as [number, number, ...number[]];
  const [firstStride, secondStride, ...restStrides] = strides as [number, number, ...number[]];
  return {
    shape: [second, first, ...rest],
    strides: [secondStride, firstStride, ...restStrides],
    data,
  };
}

/** An object of values that are JSON already; `undefined` ones are left out. */
export function objectToJson(fields: Record<string, string | undefined>): string {
  const members = Object.entries(fields)
    .filter(([, json]) => json !== undefined)
    .map(([key, json]) => `${JSON.stringify(key)}:${json}`);
  return `{${members.join(',')}}`;
}

function axisToJson(view: TensorView, axis: number, start: number): string {
  const size = view.shape[axis]!;
  const stride = view.strides[axis]!;
  if (axis + 1 === view.shape.length) return rowToJson(view.data, start, size, stride);
  const parts = Array<string>(size);
  for (let i = 0; i < size; i++) parts[i] = axisToJson(view, axis + 1, start + i * stride);
  return `[${parts.join(',')}]`;
}

function rowToJson(data: Float32Array, start: number, size: number, stride: number): string {
  const numbers = Array<number | string>(size);
  for (let i = 0; i < size; i++) {
    const value = data[start + i * stride]!;
    // Number's own printing drops the sign of zero, and with it the bits.
    numbers[i] = Object.is(value, -0) ? '-0' : shortest(value);
  }
  return `[${numbers.join(',')}]`;
}
