// Decimals that are too close to the middle of two float32 for the reading kernel (kernels/read-numbers.ts),
// converted as reading is defined: rounded to float64, then to float32.
import {
  FALLBACK_BYTES,
  FALLBACK_DECIMAL,
  FALLBACK_DECIMAL_END,
  FALLBACK_NUMBER,
} from '../kernels/layout.ts';

const U32 = Uint32Array.BYTES_PER_ELEMENT;

/**
 * Converts the decimals of the fallback records from `start` to `end`, which are byte addresses. Called by the
 * kernel, on the thread that runs it.
 *
 * @returns 1, or 0 if one of them is beyond float32
 */
export function roundFallbacks({ buffer }: WebAssembly.Memory, start: number, end: number): number {
  const records = new Uint32Array(buffer, start, (end - start) / U32);
  for (let record = 0; record < records.length; record += FALLBACK_BYTES / U32) {
    const decimalPtr = records[record + FALLBACK_DECIMAL / U32]!;
    const decimalBytes = records[record + FALLBACK_DECIMAL_END / U32]! - decimalPtr;
    const target = new Float32Array(buffer, records[record + FALLBACK_NUMBER / U32], 1);
    target[0] = Number(Buffer.from(buffer, decimalPtr, decimalBytes).toString('latin1'));
    if (!Number.isFinite(target[0])) return 0;
  }
  return 1;
}
