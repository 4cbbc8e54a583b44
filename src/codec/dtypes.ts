// The elements of tensors in files, by their dtype. F64 is read as float64, and so are integers, of which I64 beyond
// 2^53 are rounded; F32, F16 and BF16 are read as float32, in which each of them has an exact value.
import type { Dtype } from '../tensor.ts';

/** Bytes of one element. */
export const ELEMENT_BYTES = { F32: 4, F64: 8, F16: 2, BF16: 2, I32: 4, I64: 8 } as const satisfies Record<Dtype, number>;

/** The bytes of the element at `index`, in place. */
export function elementAt(bytes: Uint8Array, dtype: Dtype, index: number): Uint8Array {
  const size = ELEMENT_BYTES[dtype];
  return bytes.subarray(index * size, (index + 1) * size);
}

/** The elements in `bytes`: a view of them if they are aligned float32, else a copy. */
export function numbersIn(bytes: Uint8Array, dtype: Dtype): Float32Array | Float64Array {
  const { buffer, byteOffset, byteLength } = bytes;
  if (dtype === 'F32' && byteOffset % ELEMENT_BYTES.F32 === 0) {
    return new Float32Array(buffer, byteOffset, byteLength / ELEMENT_BYTES.F32);
  }
  return copiedNumbers(bytes, dtype);
}

/** A copy of the elements in `bytes`, which may begin at any address. */
export function copiedNumbers(bytes: Uint8Array, dtype: Dtype): Float32Array | Float64Array {
  return readNumbers(dtype, new Uint8Array(bytes).buffer);
}

/** Files are little-endian, and so is every machine on which Node.js has WebAssembly SIMD. */
function readNumbers(dtype: Dtype, buffer: ArrayBuffer): Float32Array | Float64Array {
  switch (dtype) {
    case 'F32':
      return new Float32Array(buffer);
    case 'F64':
      return new Float64Array(buffer);
    case 'F16':
      return widen(new Uint16Array(buffer), widenF16);
    case 'BF16':
      return widen(new Uint16Array(buffer), widenBF16);
    case 'I32':
      return Float64Array.from(new Int32Array(buffer));
    case 'I64':
      return readI64(new Uint32Array(buffer));
  }
}

/** Without BigInt, which takes ten times as long. */
function readI64(words: Uint32Array): Float64Array {
  const numbers = new Float64Array(words.length / 2);
  for (let i = 0; i < numbers.length; i++) numbers[i] = (words[2 * i + 1]! | 0) * 2 ** 32 + words[2 * i]!;
  return numbers;
}

/** By bit patterns: a NaN that is passed as a number may lose its bits. */
function widen(halves: Uint16Array, widenOne: (half: number) => number): Float32Array {
  const bits = new Uint32Array(halves.length);
  for (let i = 0; i < halves.length; i++) bits[i] = widenOne(halves[i]!);
  return new Float32Array(bits.buffer);
}

/** BF16 is the upper half of a float32. */
function widenBF16(half: number): number {
  return half << 16;
}

/**
 * F16 is | sign 1 | exponent 5, bias 15 | fraction 10 |, float32 is | 1 | 8, bias 127 | 23 |. F16's
 * subnormals, k · 2^-24, are normal in float32: the leading one of k becomes implicit.
 */
function widenF16(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0x1f) return sign | 0x7f800000 | (fraction << 13);
  if (exponent > 0) return sign | ((exponent - 15 + 127) << 23) | (fraction << 13);
  if (fraction === 0) return sign;
  const leading = 31 - Math.clz32(fraction);
  return sign | ((leading - 24 + 127) << 23) | ((fraction << (23 - leading)) & 0x7fffff);
}
