// API keys:  carryover_<16 hex digits: its id>_<43 characters of base64url: 256 random bits>
//
// Only SHA-256 of a key is stored. A slow hash, as for passwords, would protect nothing more: nobody can try out 2^256 keys.
//
// To hash it takes 3 % of a small request. So a process remembers a key that was right, and compares with that first.
import { hash, randomBytes, timingSafeEqual } from 'node:crypto';

const PREFIX = 'carryover_';
const ID_END = PREFIX.length + 16;

const HASH_PREFIX = 'sha256:';
const HASH_DIGITS = 64;

/** A new random key. */
export function newKey(): { readonly key: string; readonly id: string; readonly hash: string } {
  const id = randomBytes(8).toString('hex');
  const key = `${PREFIX}${id}_${randomBytes(32).toString('base64url')}`;
  return { key, id, hash: `${HASH_PREFIX}${hash('sha256', key, 'hex')}` };
}

/** The id in a key; undefined if the text is none. */
export function idOfKey(text: string): string | undefined {
  return text.startsWith(PREFIX) && text[ID_END] === '_' ? text.slice(PREFIX.length, ID_END) : undefined;
}

/** What a key is compared with: its hash, and the key itself once it was right. */
export class KeyCheck {
  /** The hex digits of the hash, as bytes. */
  readonly #hashBytes: Buffer;
  #rightBytes: Buffer | undefined;

  /** @param stored `sha256:<hex>` */
  constructor(stored: string) {
    this.#hashBytes = Buffer.from(stored.slice(HASH_PREFIX.length));
  }

  /**
   * Whether it is the key of this hash, in a time that does not depend on how much of it agrees. The hash is made as text: as a
   * buffer it takes five times as long, 2 µs.
   */
  isRight(key: string): boolean {
    const bytes = Buffer.from(key);
    const right = this.#rightBytes;
    if (right?.length === bytes.length && timingSafeEqual(bytes, right)) return true;
    const isRight = timingSafeEqual(Buffer.from(hash('sha256', key, 'hex')), this.#hashBytes);
    if (isRight) this.#rightBytes = bytes;
    return isRight;
  }
}

/** No key is right here. It is asked where there is no key of that id, which then takes as long. */
export const NO_KEY = new KeyCheck(`${HASH_PREFIX}${'0'.repeat(HASH_DIGITS)}`);
