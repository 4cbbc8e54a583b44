// Writes tensors as a safetensors file, in float32, without the padding that views have after their rows.
// https://github.com/huggingface/safetensors#format
import { setImmediate as nextIteration } from 'node:timers/promises';
import type { TensorView } from '../../tensor.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;
/** The header is padded with spaces to a multiple of this, so that the data is aligned. In bytes. */
const HEADER_ALIGN = 8;
/** Numbers copied between two iterations of the event loop: 512 KiB. */
const SLICE_COST = 131_072;
/** Beginning a row takes as long as copying this many numbers. */
const ROW_COST = 64;

/** Provides the memory of a file: exactly `bytes` bytes. */
export type AllocateFile = (bytes: number) => Buffer;

type Tensors = Readonly<Record<string, TensorView | undefined>>;

/**
 * A file of the tensors by name, in this order; those that are undefined are left out.
 *
 * @param metadata the strings of `__metadata__`
 */
export function writeSafetensors(
  tensors: Tensors,
  metadata?: Readonly<Record<string, string>>,
  allocate: AllocateFile = (bytes) => Buffer.allocUnsafe(bytes),
): Buffer {
  const { file, present, dataAt } = writeHeader(tensors, metadata, allocate);
  let at = dataAt;
  for (const view of present) at = copyAxis(view, 0, 0, file, at);
  return file;
}

/**
 * Like writeSafetensors(), in slices between which the event loop goes on. The tensors have to stay until the
 * promise has settled.
 */
export async function writeSafetensorsInSlices(
  tensors: Tensors,
  metadata?: Readonly<Record<string, string>>,
  allocate: AllocateFile = (bytes) => Buffer.allocUnsafeSlow(bytes),
): Promise<Buffer> {
  const { file, present, dataAt } = writeHeader(tensors, metadata, allocate);
  let at = dataAt;
  let left = SLICE_COST;
  const spend = async (cost: number) => {
    left -= cost;
    if (left > 0) return;
    left = SLICE_COST;
    await nextIteration();
  };
  for (const view of present) {
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
  return file;
}

/** A file with its header written; the data of the tensors `present` belongs at `dataAt`. */
function writeHeader(
  tensors: Tensors,
  metadata: Readonly<Record<string, string>> | undefined,
  allocate: AllocateFile,
) {
  const present: TensorView[] = [];
  const entries = metadata ? [`"__metadata__":${JSON.stringify(metadata)}`] : [];
  let end = 0;
  for (const [name, view] of Object.entries(tensors)) {
    if (!view) continue;
    const start = end;
    end += view.shape.reduce((product, size) => product * size, F32);
    present.push(view);
    entries.push(
      `${JSON.stringify(name)}:{"dtype":"F32","shape":[${view.shape.join()}],"data_offsets":[${start},${end}]}`,
    );
  }
  const header = `{${entries.join()}}`;
  const textBytes = Buffer.byteLength(header);
  const headerBytes = Math.ceil(textBytes / HEADER_ALIGN) * HEADER_ALIGN;
  const file = allocate(8 + headerBytes + end);
  // The size has 64 bits, of which the upper 32 are 0.
  file.writeUInt32LE(headerBytes);
  file.writeUInt32LE(0, 4);
  file.write(header, 8);
  const dataAt = 8 + headerBytes;
  file.fill(' ', 8 + textBytes, dataAt);
  return { file, present, dataAt };
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
