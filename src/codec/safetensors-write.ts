// Writes tensors as a safetensors file, float32: bytes as they are in memory, without padding.
import type { TensorView } from '../tensor.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;
/** The header is filled with spaces to a multiple of this, so that the data is aligned. */
const HEADER_ALIGN = 8;

/** Bytes to write to, as many as asked for. */
export type Room = (bytes: number) => Buffer;

/** The tensors by name, in this order; `undefined` ones are left out. */
export function writeSafetensors(
  tensors: Readonly<Record<string, TensorView | undefined>>,
  metadata?: Readonly<Record<string, string>>,
  room: Room = (bytes) => Buffer.allocUnsafe(bytes),
): Buffer {
  const present: TensorView[] = [];
  const entries = metadata ? [`"__metadata__":${JSON.stringify(metadata)}`] : [];
  let end = 0;
  for (const [name, view] of Object.entries(tensors)) {
    if (!view) continue;
    const begin = end;
    end += view.shape.reduce((product, size) => product * size, F32);
    present.push(view);
    entries.push(
      `${JSON.stringify(name)}:{"dtype":"F32","shape":[${view.shape.join()}],"data_offsets":[${begin},${end}]}`,
    );
  }
  const header = `{${entries.join()}}`;
  const textBytes = Buffer.byteLength(header);
  const headerBytes = Math.ceil(textBytes / HEADER_ALIGN) * HEADER_ALIGN;
  const file = room(8 + headerBytes + end);
  // A size of 64 bits, of which the upper ones are 0.
  file.writeUInt32LE(headerBytes);
  file.writeUInt32LE(0, 4);
  file.write(header, 8);
  let at = 8 + headerBytes;
  file.fill(' ', 8 + textBytes, at);
  for (const view of present) at = copyAxis(view, 0, 0, file, at);
  return file;
}

/** Copies row by row where views have padding behind their rows; returns where the copy ended. */
function copyAxis(view: TensorView, axis: number, start: number, file: Buffer, at: number): number {
  const { shape, strides, data } = view;
  const count = contiguousCount(shape, strides, axis);
  if (count > 0) {
    const bytes = count * F32;
    file.set(new Uint8Array(data.buffer, data.byteOffset + start * F32, bytes), at);
    return at + bytes;
  }
  let end = at;
  for (let i = 0; i < shape[axis]!; i++) {
    end = copyAxis(view, axis + 1, start + i * strides[axis]!, file, end);
  }
  return end;
}

/** How many numbers there are from an axis inwards, if they stand one behind the other; else 0. */
function contiguousCount(shape: readonly number[], strides: readonly number[], axis: number): number {
  let count = 1;
  for (let inner = shape.length - 1; inner >= axis; inner--) {
    if (strides[inner] !== count) return 0;
    count *= shape[inner]!;
  }
  return count;
}
