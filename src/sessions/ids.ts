// Names that nobody can guess.
import { createHash, randomBytes } from 'node:crypto';
import type { Session } from './session.ts';

/** 128 random bits. */
export function randomId(): string {
  return randomBytes(16).toString('base64url');
}

export function randomIncarnation(): string {
  return randomBytes(6).toString('base64url');
}

/** As hard to guess as the id of the session that is forked. */
export function derivedId({ id, incarnation }: Session, key: string): string {
  const hash = createHash('sha256').update(`fork/${id}/${incarnation}/${key}`).digest();
  return hash.subarray(0, 16).toString('base64url');
}
