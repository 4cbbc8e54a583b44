// Random numbers. crypto.randomUUID() is not used: pages that are not loaded over https do not have it.

/** 128 random bits in hexadecimal, for an Idempotency-Key. */
export function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** 0 … 1 */
export function randomShare(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]! / 2 ** 32;
}
