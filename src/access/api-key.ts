// API keys:  carryover_<16 hex digits: its id>_<43 characters of base64url: 256 random bits>
//
// Only SHA-256 of a key is stored. A slow hash, as for passwords, would protect nothing more: nobody can try out 2^256 keys.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

const KEY = /^carryover_([0-9a-f]{16})_[A-Za-z0-9_-]{43}$/;

const HASH_PREFIX = 'sha256:';

/** A new random key. */
export function newKey(): { readonly key: string; readonly id: string; readonly hash: string } {
  const id = randomBytes(8).toString('hex');
  const key = `carryover_${id}_${randomBytes(32).toString('base64url')}`;
  return { key, id, hash: hashOf(key) };
}

/** The id in a key; undefined if the text has not the form of a key. */
export function idOfKey(text: string): string | undefined {
  return KEY.exec(text)?.[1];
}

/** `sha256:<hex>`, as it is stored. */
export function hashOf(key: string): string {
  return `${HASH_PREFIX}${createHash('sha256').update(key).digest('hex')}`;
}

/** No key has this hash. It is compared with where there is no key of that id, which then takes as long. */
export const NO_HASH = `${HASH_PREFIX}${'0'.repeat(64)}`;

/** Whether the key has this hash, in a time that does not depend on how much of it agrees. */
export function isKeyOf(key: string, hash: string): boolean {
  return timingSafeEqual(Buffer.from(hashOf(key)), Buffer.from(hash));
}
