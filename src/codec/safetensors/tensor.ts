// A tensor from a safetensors file, as a TensorSource.
import { CarryoverError } from '../../errors.ts';
import { type RawTensor, type TensorSource, areFinite, formatShape } from '../../tensor.ts';
import { beyondFloat32, hasFloat32 } from '../float32.ts';
import { elementAt, numbersIn } from '../dtypes.ts';
import type { SafeTensor } from './read.ts';

/** @throws shape_mismatch if the tensor has another number of axes, or an empty one */
export function tensorFromFile(name: string, axes: string, tensor: SafeTensor): TensorSource {
  const { shape } = tensor;
  if (shape.length !== axes.length || shape.includes(0)) {
    const message =
      `${name.split('/').at(-1)} has shape ${formatShape(shape)}, ` +
      `expected ${formatShape(axes.split(''))} with no axis of size 0.`;
    throw new CarryoverError('shape_mismatch', {
      detail: message,
      errors: [{ pointer: `/${name}`, message }],
    });
  }
  return {
    name,
    axes,
    shape,
    copyTo: (target, isFinite = areFinite) => {
      const { data } = tensor;
      copyFlat(axes, shape, data, target);
      if (!isFinite(target)) throw notFloat32(name, shape, data);
    },
    inPlace: () => (isInPlace(axes, tensor) ? (tensor.data as Float32Array) : undefined),
    raw: () => rawOf(name, axes, tensor),
  };
}

/** Without a look at `data`, which may have to be made. */
function isInPlace(axes: string, { dtype, bytes }: SafeTensor): boolean {
  const isAligned = bytes === undefined || bytes.byteOffset % Float32Array.BYTES_PER_ELEMENT === 0;
  return dtype === 'F32' && isAligned && !axes.startsWith('NT');
}

function rawOf(name: string, axes: string, { shape, dtype, bytes }: SafeTensor): RawTensor | undefined {
  if (!bytes) return undefined;
  const refuse = (index: number) => {
    const [value] = numbersIn(elementAt(bytes, dtype, index), dtype);
    return beyondFloat32(`/${name}${pointerOf(index, shape)}`, value!);
  };
  return { bytes, dtype, ...orderOf(axes, shape), refuse };
}

/** Sizes of three axes, and whether the first two change places to have time before batch. */
export function orderOf(axes: string, shape: readonly number[]): Pick<RawTensor, 'sizes' | 'swaps'> {
  const [A = 1, B = 1, C = 1] = shape;
  return { sizes: [A, B, C], swaps: axes.startsWith('NT') };
}

/** Names the first element that is beyond float32. */
function notFloat32(name: string, shape: readonly number[], data: SafeTensor['data']): CarryoverError {
  const at = data.findIndex((value) => !hasFloat32(value));
  return beyondFloat32(`/${name}${pointerOf(at, shape)}`, data[at]!);
}

function pointerOf(at: number, shape: readonly number[]): string {
  let rest = at;
  let pointer = '';
  for (const size of shape.toReversed()) {
    pointer = `/${rest % size}${pointer}`;
    rest = Math.floor(rest / size);
  }
  return pointer;
}

/** Row-major to row-major, time before batch whatever `axes` says. */
export function copyFlat(
  axes: string,
  shape: readonly number[],
  data: SafeTensor['data'],
  target: Float32Array,
): void {
  if (axes.startsWith('NT')) copyTimeFirst(shape, data, target);
  else target.set(data);
}

/** (N, T, D) → (T, N, D) */
function copyTimeFirst(
  shape: readonly number[],
  data: SafeTensor['data'],
  target: Float32Array,
): void {
  const [N, T, D] = shape as [number, number, number];
  for (let n = 0; n < N; n++) {
    for (let t = 0; t < T; t++) {
      const from = (n * T + t) * D;
      target.set(data.subarray(from, from + D), (t * N + n) * D);
    }
  }
}
