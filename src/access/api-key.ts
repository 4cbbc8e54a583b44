// API keys:  carryover_<16 hex digits: its id>_<43 characters of base64url: 256 random bits>
//
// Only SHA-256 of a key is stored. A slow hash, as for passwords, would protect nothing more: nobody can try out 2^256 keys.
import { hash, randomBytes, timingSafeEqual } from 'node:crypto';

const KEY = /^carryover_([0-9a-f]{16})_[A-Za-z0-9_-]{43}$/;

const HASH_PREFIX = 'sha256:';
const HASH_DIGITS = 64;

/** A new random key. */
export function newKey(): { readonly key: string; readonly id: string; readonly hash: string } {
  const id = randomBytes(8).toString('hex');
  const key = `carryover_${id}_${randomBytes(32).toString('base64url')}`;
  return { key, id, hash: `${HASH_PREFIX}${hash('sha256', key, 'hex')}` };
}

/** The id in a key; undefined if the text has not the form of a key. */
export function idOfKey(text: string): string | undefined {
  return KEY.exec(text)?.[1];
}

/** The hex digits of a hash as it is stored, `sha256:<hex>`, as bytes. */
export function bytesOfHash(stored: string): Buffer {
  return Buffer.from(stored.slice(HASH_PREFIX.length));
}

/** No key has this hash. It is compared with where there is no key of that id, which then takes as long. */
export const NO_HASH = Buffer.alloc(HASH_DIGITS);

/**
 * Whether the key has this hash, in a time that does not depend on how much of it agrees. The hash is made as text: as a
 * buffer it takes five times as long, 2 µs.
 */
export function isKeyOf(key: string, hashBytes: Buffer): boolean {
  return timingSafeEqual(Buffer.from(hash('sha256', key, 'hex')), hashBytes);
}
