// The order of a tensor's axes: requests may have (N, T, D), the kernels want time outermost, (T, N, D).
import type { RawTensor } from '../tensor.ts';

/** Whether the first two axes are exchanged when a tensor is copied: of NTD and NT. */
export function swapsAxes(axes: string): boolean {
  return axes.startsWith('NT');
}

/** The sizes of a tensor as three axes, and whether the first two are exchanged. */
export function axisOrder(axes: string, shape: readonly number[]): Pick<RawTensor, 'sizes' | 'swaps'> {
  const [A = 1, B = 1, C = 1] = shape;
  return { sizes: [A, B, C], swaps: swapsAxes(axes) };
}

/** Copies row-major elements to row-major elements, with time outermost in `target` whatever `axes` says. */
export function copyTimeFirst(
  axes: string,
  shape: readonly number[],
  data: Float32Array | Float64Array,
  target: Float32Array,
): void {
  if (!swapsAxes(axes)) return target.set(data);
  // (N, T, D) → (T, N, D)
  const [N, T, D = 1] = shape as [number, number, number?];
  for (let n = 0; n < N; n++) {
    for (let t = 0; t < T; t++) {
      const from = (n * T + t) * D;
      target.set(data.subarray(from, from + D), (t * N + n) * D);
    }
  }
}
