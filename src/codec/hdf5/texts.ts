// The texts of an attribute of an HDF5 file, as UTF-8: h5py writes it, and says ASCII, where Python has bytes.
import type { Hdf5Library } from './library.ts';

/** @throws Error of the library */
export function readTexts(library: Hdf5Library, file: bigint, path: string, name: string): string[] {
  const { module } = library;
  const { size, total_size, vlen } = module.get_attribute_metadata(file, path, name);
  const count = size * total_size;
  if (count === 0) return [];
  const pointer = library.allocate(count);
  if (pointer === 0) throw new Error('no memory for the texts');
  try {
    module.get_attribute_data(file, path, name, BigInt(pointer));
    const bytes = module.HEAPU8.slice(pointer, pointer + count);
    if (!vlen) return Array.from({ length: total_size }, (_, k) => textIn(bytes.subarray(k * size, (k + 1) * size)));
    const texts = Array.from(new Uint32Array(bytes.buffer), (at) => (at === 0 ? '' : module.UTF8ToString(at)));
    module.reclaim_vlen_memory(file, path, name, BigInt(pointer));
    return texts;
  } finally {
    library.free(pointer);
  }
}

/** Of a fixed length, up to the first null. */
function textIn(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString();
}
