// Identifiers that cannot be guessed.
import { hash, randomBytes } from 'node:crypto';

/** 128 random bits, base64url. */
export function randomId(): string {
  return randomBytes(16).toString('base64url');
}

/** 48 random bits, base64url. */
export function randomIncarnation(): string {
  return randomBytes(6).toString('base64url');
}

const NONCE_LENGTH = 8;
const NONCES_AT_ONCE = 512;
/** Random characters, used up from the end: one call of the generator for each nonce would take longer. */
let nonces = '';

/** 48 random bits, base64url. */
export function randomNonce(): string {
  if (nonces === '') nonces = randomBytes((NONCE_LENGTH * NONCES_AT_ONCE * 3) / 4).toString('base64url');
  const nonce = nonces.slice(-NONCE_LENGTH);
  nonces = nonces.slice(0, -NONCE_LENGTH);
  return nonce;
}

/**
 * The id of the session that is created with an idempotency key: the same for every attempt.
 *
 * @param secret of the store; the id is as hard to guess as it
 */
export function idFromKey(secret: string, key: string): string {
  return idFrom(`create/${secret}/${key}`);
}

/**
 * The id of the session that stands for a sequence: the same in every process and after every restart.
 *
 * @param secret of the store; the id is as hard to guess as it
 * @param name of the sequence, which clients choose
 */
export function idOfSequence(secret: string, name: string): string {
  return idFrom(`sequence/${secret}/${name}`);
}

/**
 * The id of the fork that is made with an idempotency key: the same for every attempt, and as hard to
 * guess as the id of the session that is forked.
 *
 * @param endedForks how many forks made with this key have ended already
 */
export function forkIdFromKey(
  { id, incarnation }: { readonly id: string; readonly incarnation: string },
  key: string,
  endedForks: number,
): string {
  const purpose = endedForks === 0 ? 'fork' : `fork after ${endedForks}`;
  return idFrom(`${purpose}/${id}/${incarnation}/${key}`);
}

function idFrom(source: string): string {
  return hash('sha256', source, 'buffer').subarray(0, 16).toString('base64url');
}
