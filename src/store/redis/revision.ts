// The revision of a record, as a text for the callers and as its parts for the scripts.
import { randomBytes } from 'node:crypto';
import type { Revision } from '../store.ts';
import type { Argument } from './client.ts';
import { NONCE_BYTES } from './scripts.ts';

/** In the history of a record: the number of changes, and the nonce of the last one. */
export interface Place {
  readonly count: number;
  readonly nonce: Buffer;
}

/** Tells changes with the same count apart, as after Redis has lost some. */
export function newNonce(): Buffer {
  return randomBytes(NONCE_BYTES);
}

/** As text. */
export function revisionOf({ count, nonce }: Place): Revision {
  return `${count}.${nonce.toString('base64url')}`;
}

function placeOf(revision: Revision): Place {
  const [count, nonce = ''] = revision.split('.');
  return { count: Number(count), nonce: Buffer.from(nonce, 'base64url') };
}

/** The place of the next change. */
export function after(revision: Revision): Place {
  return { count: placeOf(revision).count + 1, nonce: newNonce() };
}

/** From this revision to the next place, as the scripts take it. */
export function step(revision: Revision, next: Place): Argument[] {
  const { count, nonce } = placeOf(revision);
  return [String(count), nonce, String(next.count), next.nonce];
}
