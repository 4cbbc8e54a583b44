// A tensor from a safetensors file, as a TensorSource.
import { CarryoverError } from '../errors.ts';
import { type TensorSource, areFinite, formatShape } from '../tensor.ts';
import { beyondFloat32, hasFloat32 } from './float32.ts';
import type { SafeTensor } from './safetensors.ts';

/** @throws shape_mismatch if the tensor has another number of axes, or an empty one */
export function flatTensor(name: string, axes: string, tensor: SafeTensor): TensorSource {
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
    inPlace: () => {
      const { data } = tensor;
      return data instanceof Float32Array && !axes.startsWith('NT') ? data : undefined;
    },
  };
}

/** Names the first element that is beyond float32. */
function notFloat32(name: string, shape: readonly number[], data: SafeTensor['data']): CarryoverError {
  let rest = data.findIndex((value) => !hasFloat32(value));
  const value = data[rest]!;
  let pointer = '';
  for (const size of shape.toReversed()) {
    pointer = `/${rest % size}${pointer}`;
    rest = Math.floor(rest / size);
  }
  return beyondFloat32(`/${name}${pointer}`, value);
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
