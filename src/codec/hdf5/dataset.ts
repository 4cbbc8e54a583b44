// A dataset of an HDF5 file → a tensor. It may be stored in one piece or in chunks, and chunks may be compressed.
import type { Metadata } from 'h5wasm';
import type { Dtype } from '../../tensor.ts';
import { ELEMENT_BYTES, copiedNumbers } from '../dtypes.ts';
import { quote } from '../safetensors/quote.ts';
import type { SafeTensor } from '../safetensors/read.ts';
import { attempt, malformed, notRead } from './errors.ts';
import type { Hdf5Library } from './library.ts';

const AXES_MAX = 4;
const CHUNKS_MAX = 65_536;
/** By their numbers in HDF5: those that shrink chunks, or only check them. */
const FILTERS: Readonly<Record<number, string>> = { 1: 'gzip', 2: 'shuffle', 3: 'fletcher32' };

/** Numbers of two bytes: the format does not tell which of the two they are where h5py wrote bfloat16. */
export type HalfDtype = 'F16' | 'BF16';

/**
 * @param bytesMax of its elements
 * @throws malformed_model_file · model_file_unsupported
 */
export function readDataset(
  library: Hdf5Library,
  file: bigint,
  path: string,
  half: HalfDtype,
  bytesMax: number,
): SafeTensor {
  const { module } = library;
  const title = `the dataset ${quote(path)}`;
  return attempt(`has ${title}, which cannot be read`, () => {
    const metadata = module.get_dataset_metadata(file, path);
    const dtype = dtypeOf(library, metadata, half);
    if (dtype === undefined) throw notRead(`has ${title}, expected one of float16, float32, float64 or bfloat16`);
    const { shape } = metadata;
    if (shape === null || shape.length > AXES_MAX) throw notRead(`has ${title} without a shape, or with more than ${AXES_MAX} axes`);
    const bytes = shape.reduce((product, size) => product * size, ELEMENT_BYTES[dtype]);
    if (bytes > bytesMax) {
      throw notRead(`has ${title} of ${bytes} bytes; expected at most ${bytesMax}, a few times the size of the file: weights hardly compress`);
    }
    expectPlain(title, metadata, bytesMax);
    expectFilters(title, module.get_dataset_filters(file, path).map(({ id }) => id));
    return { dtype, shape, data: copiedNumbers(bytesOf(library, file, path, bytes), dtype) };
  });
}

function dtypeOf({ module }: Hdf5Library, { type, size }: Metadata, half: HalfDtype): Dtype | undefined {
  const { H5T_OPAQUE, H5T_FLOAT } = module.H5T_class_t;
  // bfloat16 is no type of NumPy, so h5py may write it as two bytes of no type.
  if (type === H5T_OPAQUE.value) return size === 2 && half === 'BF16' ? half : undefined;
  if (type !== H5T_FLOAT.value) return undefined;
  return size === 2 ? half : size === 4 ? 'F32' : size === 8 ? 'F64' : undefined;
}

/** @throws model_file_unsupported unless its elements are in this file, in chunks of bounded size and number */
function expectPlain(title: string, { shape, chunks, size, virtual_sources }: Metadata, bytesMax: number): void {
  if (virtual_sources) throw notRead(`has ${title}, whose elements are in other files`);
  if (chunks === null) return;
  const bytes = chunks.reduce((product, length) => product * length, size);
  const count = chunks.reduce((product, length, axis) => product * Math.ceil(shape![axis]! / length), 1);
  if (!(bytes > 0 && bytes <= bytesMax && count <= CHUNKS_MAX)) {
    throw notRead(`has ${title} in ${count} chunks of ${bytes} bytes; expected at most ${CHUNKS_MAX} chunks of ${bytesMax}`);
  }
}

function expectFilters(title: string, ids: readonly number[]): void {
  const other = ids.find((id) => !(id in FILTERS));
  if (other === undefined && new Set(ids).size === ids.length) return;
  throw notRead(`has ${title} behind the filters ${ids.slice(0, 8).join(', ')}; expected ${Object.values(FILTERS).join(', ')}, each once`);
}

function bytesOf(library: Hdf5Library, file: bigint, path: string, count: number): Uint8Array {
  if (count === 0) return new Uint8Array();
  const pointer = library.allocate(count);
  if (pointer === 0) throw malformed(`needs ${count} bytes for a dataset, which is too much`);
  try {
    const { module } = library;
    const status = module.get_dataset_data(file, path, null, null, null, BigInt(pointer));
    if (status < 0) throw malformed(`has the dataset ${quote(path)}, which cannot be read`);
    return module.HEAPU8.slice(pointer, pointer + count);
  } finally {
    library.free(pointer);
  }
}
