// Checks that float32 are finite. Infinities and NaN are those with all bits of the exponent set (IEEE 754).
const EXPONENT: u32 = 0x7f80_0000;

/** Whether none of the `count` float32 at `numbers` is infinite or NaN. */
export function areFinite(numbers: usize, count: u32): bool {
  // Counted down, as the end of numbers that end at 4 GiB is no 32-bit address.
  let left = count;
  const exponent = i32x4.splat(EXPONENT);
  let found = i32x4.splat(0);
  for (; left >= 4; left -= 4, numbers += 16) {
    found = v128.or(found, i32x4.eq(v128.and(v128.load(numbers), exponent), exponent));
  }
  if (v128.any_true(found)) return false;
  for (; left > 0; left--, numbers += 4) {
    if ((load<u32>(numbers) & EXPONENT) == EXPONENT) return false;
  }
  return true;
}
