// One array in NumPy's format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
//
//   \x93NUMPY | major, minor | header length: u16 in version 1, u32 in 2 and 3 | header | elements
//
// The header is a Python dict with three keys, of which only these forms are read:
//   {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
// A dtype of objects would have a pickle behind it, and is refused.
import { copiedNumbers } from '../../codec/dtypes.ts';
import { quote } from '../../codec/safetensors/quote.ts';
import { type Dtype, formatShape } from '../../tensor.ts';
import type { CheckArray } from './check-array.ts';
import { wrong } from './wrong.ts';

const MAGIC = Buffer.from('\x93NUMPY', 'latin1');
const HEADER_BYTES_MAX = 65_536;
const AXES_MAX = 8;

const DTYPES: Readonly<Record<string, { readonly dtype: Dtype; readonly bytes: number }>> = {
  '<f2': { dtype: 'F16', bytes: 2 },
  '<f4': { dtype: 'F32', bytes: 4 },
  '<f8': { dtype: 'F64', bytes: 8 },
  '<i4': { dtype: 'I32', bytes: 4 },
  '<i8': { dtype: 'I64', bytes: 8 },
};

/** @param name of the array, for errors · @throws CliError */
export function readNpy(bytes: Buffer, name: string): CheckArray {
  const { header, dataAt } = readHeader(bytes, name);
  const descr = /'descr': *'([^']*)'/.exec(header)?.[1];
  const order = /'fortran_order': *(True|False)/.exec(header)?.[1];
  const sizes = /'shape': *\(([\d, ]*)\)/.exec(header)?.[1];
  if (descr === undefined || order === undefined || sizes === undefined) {
    throw wrong(
      `${quote(name)} has the header ${quote(header.trim())}, expected a dtype, an order and a shape of plain numbers.`,
    );
  }
  const known = Object.hasOwn(DTYPES, descr) ? DTYPES[descr] : undefined;
  if (!known) {
    const expected = 'float16, float32, float64, int32 or int64, little-endian (<f2, <f4, <f8, <i4, <i8)';
    throw wrong(
      `${quote(name)} has dtype ${quote(descr)}, expected ${expected}. Convert it: ${pythonName(name)}.astype("float32")`,
    );
  }
  const shape = sizes
    .split(',')
    .filter((text) => text.trim() !== '')
    .map(Number);
  const count = shape.reduce((product, size) => product * size, 1);
  const data = bytes.subarray(dataAt);
  if (shape.length > AXES_MAX) throw wrong(`${quote(name)} has ${shape.length} axes, expected at most ${AXES_MAX}.`);
  if (count * known.bytes !== data.length) {
    throw wrong(
      `${quote(name)} has ${data.length} bytes of elements, expected ${count * known.bytes} for the shape ` +
        `${formatShape(shape)}: write the file again.`,
    );
  }
  const numbers = copiedNumbers(data, known.dtype);
  return { shape, data: order === 'True' ? rowMajor(numbers, shape) : numbers, isHalf: known.dtype === 'F16' };
}

function readHeader(bytes: Buffer, name: string): { header: string; dataAt: number } {
  const major = bytes[6] ?? 0;
  const sizeBytes = major === 1 ? 2 : 4;
  if (!bytes.subarray(0, 6).equals(MAGIC) || major < 1 || major > 3 || bytes.length < 8 + sizeBytes) {
    throw wrong(
      `${quote(name)} is no array of NumPy (.npy, format 1 to 3), expected one: write the file with numpy.savez().`,
    );
  }
  const length = sizeBytes === 2 ? bytes.readUInt16LE(8) : bytes.readUInt32LE(8);
  const dataAt = 8 + sizeBytes + length;
  if (length > HEADER_BYTES_MAX || dataAt > bytes.length) {
    throw wrong(
      `${quote(name)} has a header of ${length} bytes, expected at most ${Math.min(HEADER_BYTES_MAX, bytes.length)}.`,
    );
  }
  return { header: bytes.toString('latin1', 8 + sizeBytes, dataAt), dataAt };
}

const pythonName = (name: string) => (/^\w{1,40}$/.test(name) ? name : 'array');

/** Elements that stand with the first axis innermost, with the last one innermost. */
function rowMajor(numbers: Float32Array | Float64Array, shape: readonly number[]): Float32Array | Float64Array {
  const result = numbers.slice();
  const strides = shape.map((_, axis) => shape.slice(0, axis).reduce((product, size) => product * size, 1));
  const index = shape.map(() => 0);
  for (let at = 0; at < numbers.length; at++) {
    result[at] = numbers[index.reduce((sum, i, axis) => sum + i * strides[axis]!, 0)]!;
    // The next index, the last axis first.
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis]!++;
      if (index[axis]! < shape[axis]!) break;
      index[axis] = 0;
    }
  }
  return result;
}
