// Writes tensors as a safetensors file, in float32, without the padding that views have after their rows.
// https://github.com/huggingface/safetensors#format
import type { TensorView } from '../../tensor.ts';
import { copyTensors, copyTensorsInSlices } from '../copy-tensors.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;
/** The header is padded with spaces to a multiple of this, so that the data is aligned. In bytes. */
const HEADER_ALIGN = 8;

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
  copyTensors(present, file, dataAt);
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
  await copyTensorsInSlices(present, file, dataAt);
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
