// Tensors as JSON, each number as the shortest decimal of its float32. It is the reference for the printing
// kernel (kernels/print.ts), which prints the responses; the self-test and the fuzzer compare both.
import type { TensorView } from '../../tensor.ts';
import { shortest } from '../float32.ts';

/** A tensor as nested arrays, the first axis outermost. Every element must be finite. */
export function tensorToJson(view: TensorView): string {
  return axisToJson(view, 0, 0);
}

/** An object whose values are JSON already; members that are undefined are left out. */
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
    // String(-0) is `0`, which would be read as other bits.
    numbers[i] = Object.is(value, -0) ? '-0' : shortest(value);
  }
  return `[${numbers.join(',')}]`;
}
