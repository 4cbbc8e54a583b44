// The vector width of the machine code: V8 may join two neighbouring 128-bit operations into one of 256 bits. Tiles
// are chosen by it, so that their accumulators fit the processor's 16 vector registers. It changes the speed and no
// bit of a result.

/** 128 or 256. */
export let vectorBits: u32 = 128;

/** To be called once per instance, before the first job. `bits` is 128 or 256. */
export function useVectors(bits: u32): void {
  vectorBits = bits;
}
