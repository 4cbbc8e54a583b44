// Names that nobody can guess.
import { createHash, randomBytes } from 'node:crypto';

/** 128 random bits. */
export function randomId(): string {
  return randomBytes(16).toString('base64url');
}

export function randomIncarnation(): string {
  return randomBytes(6).toString('base64url');
}

const NONCE_LENGTH = 8;
const NONCES_AT_ONCE = 512;
/** Random text, cut up from its end: a call of the generator for each nonce would take longer. */
let nonces = '';

/** 48 random bits. */
export function randomNonce(): string {
  if (nonces === '') nonces = randomBytes((NONCE_LENGTH * NONCES_AT_ONCE * 3) / 4).toString('base64url');
  const nonce = nonces.slice(-NONCE_LENGTH);
  nonces = nonces.slice(0, -NONCE_LENGTH);
  return nonce;
}

/** Of the session that a key makes. As hard to guess as the secret of the store. */
export function createdId(secret: string, key: string): string {
  const hash = createHash('sha256').update(`create/${secret}/${key}`).digest();
  return hash.subarray(0, 16).toString('base64url');
}

/**
 * As hard to guess as the id of the session that is forked.
 *
 * @param gone how many forks of this key are gone already
 */
export function derivedId(
  { id, incarnation }: { readonly id: string; readonly incarnation: string },
  key: string,
  gone: number,
): string {
  const purpose = gone === 0 ? 'fork' : `fork after ${gone}`;
  const hash = createHash('sha256').update(`${purpose}/${id}/${incarnation}/${key}`).digest();
  return hash.subarray(0, 16).toString('base64url');
}
