// Copies computed tensors to the bytes of a file or a body: row-major float32, one tensor behind the other, without the padding
// that views have after their rows.
import { setImmediate as nextIteration } from 'node:timers/promises';
import type { TensorView } from '../tensor.ts';

/** Numbers copied between two iterations of the event loop: 512 KiB. */
const SLICE_COST = 131_072;
/** Beginning a row takes as long as copying this many numbers. */
const ROW_COST = 64;
/** Copied in half a millisecond, even if every number is a row of its own. */
export const UNSLICED_NUMBERS_MAX = 8_192;

/** @param start where the first tensor begins in `file` */
export function copyTensors(views: readonly TensorView[], file: Buffer, start: number): void {
  let at = start;
  for (const view of views) at = copyAxis(view, 0, 0, file, at);
}

/** As copyTensors(), in slices between which the event loop goes on. The tensors have to stay until it has resolved. */
export async function copyTensorsInSlices(views: readonly TensorView[], file: Buffer, start: number): Promise<void> {
  let at = start;
  let left = SLICE_COST;
  const spend = async (cost: number) => {
    left -= cost;
    if (left > 0) return;
    left = SLICE_COST;
    await nextIteration();
  };
  for (const view of views) {
    const { shape, strides, data } = view;
    const count = contiguousCount(shape, strides, 0);
    for (let from = 0; from < count; from += SLICE_COST) {
      at = copyNumbers(data.subarray(from, Math.min(count, from + SLICE_COST)), file, at);
      await spend(SLICE_COST);
    }
    if (count > 0) continue;
    const [size, ...inner] = shape as [number, ...number[]];
    const innerRows = inner.slice(0, -1).reduce((rows, axis) => rows * axis, 1);
    const cost = innerRows * (ROW_COST + inner.at(-1)!);
    for (let i = 0; i < size; i++) {
      at = copyAxis(view, 1, i * strides[0]!, file, at);
      await spend(cost);
    }
  }
}

/**
 * Copies the elements from `start` on to `file`, from an axis inwards: row by row where there is padding after
 * the rows. Returns where the copy ends.
 */
function copyAxis(view: TensorView, axis: number, start: number, file: Buffer, at: number): number {
  const { shape, strides, data } = view;
  const count = contiguousCount(shape, strides, axis);
  if (count > 0) {
    return copyNumbers(data.subarray(start, start + count), file, at);
  }
  let end = at;
  for (let i = 0; i < shape[axis]!; i++) {
    end = copyAxis(view, axis + 1, start + i * strides[axis]!, file, end);
  }
  return end;
}

function copyNumbers({ buffer, byteOffset, byteLength }: Float32Array, file: Buffer, at: number): number {
  file.set(new Uint8Array(buffer, byteOffset, byteLength), at);
  return at + byteLength;
}

/** How many numbers an element of an axis and those within it have, if they are contiguous; else 0. */
function contiguousCount(shape: readonly number[], strides: readonly number[], axis: number): number {
  let count = 1;
  for (let inner = shape.length - 1; inner >= axis; inner--) {
    if (strides[inner] !== count) return 0;
    count *= shape[inner]!;
  }
  return count;
}
