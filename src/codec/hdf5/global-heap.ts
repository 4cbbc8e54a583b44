// The global heaps of an HDF5 file, where texts of any length are, looked through before the library reads them: it goes
// from object to object by the sizes that the file states, and would go on without end where one leads to no next.
//
//   "GCOL" | version 1 | reserved 3 | size of the heap 8 | objects
//   object: index 2 | references 2 | reserved 4 | size 8 | content, padded to 8
//
// An object of index 0 is what is free, and its size includes these 16 bytes.
// https://support.hdfgroup.org/documentation/hdf5/latest/_f_m_t3.html#GlobalHeap
import { malformed } from './errors.ts';

const SIGNATURE = 'GCOL';
const HEADER_BYTES = 16;
const OBJECT_BYTES = 16;
/** Of all heaps: they may overlap, and a description and some names are few. */
const OBJECTS_MAX = 2 ** 20;

/** @throws malformed_model_file */
export function expectWholeHeaps(bytes: Uint8Array): void {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // Where each of them begins is known to the library alone: all places that look like one.
  let objects = 0;
  for (let at = file.indexOf(SIGNATURE); at >= 0; at = file.indexOf(SIGNATURE, at + 1)) {
    if (file.length - at >= HEADER_BYTES) objects += countObjects(file, at, OBJECTS_MAX - objects);
  }
}

/** @throws malformed_model_file if one leads to no next, or beyond the end, or if there are more than `most` */
function countObjects(file: Buffer, start: number, most: number): number {
  const size = file.readBigUInt64LE(start + 8);
  // The library finds out by itself that it is too large for the file.
  if (size > BigInt(file.length - start)) return 0;
  const end = start + Number(size);
  let count = 0;
  for (let at = start + HEADER_BYTES; at + OBJECT_BYTES <= end; ) {
    const index = file.readUInt16LE(at);
    const stated = file.readBigUInt64LE(at + 8);
    const bytes = index === 0 ? Number(stated) : OBJECT_BYTES + 8 * Math.ceil(Number(stated) / 8);
    if (bytes < OBJECT_BYTES || at + bytes > end) {
      throw malformed(`has a text of ${stated} bytes in a heap of ${size}, of which ${end - at} are left`);
    }
    at += bytes;
    if (++count > most) throw malformed(`has more than ${OBJECTS_MAX} texts`);
  }
  return count;
}
