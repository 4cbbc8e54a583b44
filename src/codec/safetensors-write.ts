// Writes tensors as a safetensors file, float32: bytes as they are in memory, without padding.
import type { TensorView } from '../tensor.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;
/** The header is filled with spaces to a multiple of this, so that the data is aligned. */
const HEADER_ALIGN = 8;

/** The tensors by name, in this order; `undefined` ones are left out. */
export function writeSafetensors(
  tensors: Record<string, TensorView | undefined>,
  metadata?: Readonly<Record<string, string>>,
): Buffer {
  const present = Object.entries(tensors).filter(
    (entry): entry is [string, TensorView] => entry[1] !== undefined,
  );
  let end = 0;
  const entries = Object.fromEntries(
    present.map(([name, { shape }]) => {
      const begin = end;
      end += shape.reduce((product, size) => product * size, F32);
      return [name, { dtype: 'F32', shape, data_offsets: [begin, end] }];
    }),
  );
  const header = metadata ? { __metadata__: metadata, ...entries } : entries;
  const text = Buffer.from(JSON.stringify(header));
  const headerBytes = Math.ceil(text.length / HEADER_ALIGN) * HEADER_ALIGN;
  const file = Buffer.alloc(8 + headerBytes + end, ' ');
  file.writeBigUInt64LE(BigInt(headerBytes));
  file.set(text, 8);
  let at = 8 + headerBytes;
  for (const [, view] of present) at = copyAxis(view, 0, 0, file, at);
  return file;
}

/** Copies row by row, as views may have padding behind their rows; returns where the copy ended. */
function copyAxis(view: TensorView, axis: number, start: number, file: Buffer, at: number): number {
  const { shape, strides, data } = view;
  if (axis + 1 === shape.length) {
    const row = data.subarray(start, start + shape[axis]!);
    file.set(new Uint8Array(row.buffer, row.byteOffset, row.byteLength), at);
    return at + row.byteLength;
  }
  let end = at;
  for (let i = 0; i < shape[axis]!; i++) {
    end = copyAxis(view, axis + 1, start + i * strides[axis]!, file, end);
  }
  return end;
}
