// Which vectors the engine makes of the kernels' 128-bit ones: each by itself, or two neighbouring ones
// joined into one of 256 bits. It is a matter of speed and not of bits: tiles are chosen so that their
// sums fit the processor's 16 vector registers.

/** Bits of a vector, 128 or 256. */
export let vectorBits: u32 = 128;

export function useVectors(bits: u32): void {
  vectorBits = bits;
}
