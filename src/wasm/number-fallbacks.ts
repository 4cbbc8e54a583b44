// Numbers whose float32 the reading kernel leaves open (kernels/read-numbers.ts), decided by the definition of
// reading: rounded to float64, then to float32.
import { FALLBACK_BYTES, FALLBACK_NUMBER, FALLBACK_DECIMAL, FALLBACK_DECIMAL_END } from '../kernels/layout.ts';

const U32 = Uint32Array.BYTES_PER_ELEMENT;

/**
 * Called by the kernel, on the thread that it runs on.
 *
 * @param start of the fallback records, bytes
 * @returns 1, or 0 if one is beyond float32
 */
export function roundFallbacks({ buffer }: WebAssembly.Memory, start: number, end: number): number {
  const fallbacks = new Uint32Array(buffer, start, (end - start) / U32);
  for (let fallback = 0; fallback < fallbacks.length; fallback += FALLBACK_BYTES / U32) {
    const text = fallbacks[fallback + FALLBACK_DECIMAL / U32]!;
    const textEnd = fallbacks[fallback + FALLBACK_DECIMAL_END / U32]!;
    const number = new Float32Array(buffer, fallbacks[fallback + FALLBACK_NUMBER / U32], 1);
    number[0] = Number(Buffer.from(buffer, text, textEnd - text).toString('latin1'));
    if (!Number.isFinite(number[0])) return 0;
  }
  return 1;
}
