// The revision of a record: for the callers one string, for the scripts a count and a nonce.
import { randomBytes } from 'node:crypto';
import type { Revision } from '../store.ts';
import type { Argument } from './client.ts';
import { NONCE_BYTES } from './record-scripts.ts';

export interface RevisionParts {
  /** The number of changes of the record since its creation. */
  readonly count: number;
  /** Of the last change: tells apart changes with the same count, as after Redis has lost some. */
  readonly nonce: Buffer;
}

/** The revision of a record that is created now. */
export function firstRevision(): RevisionParts {
  return { count: 0, nonce: randomBytes(NONCE_BYTES) };
}

/** The revision that a change of a record at this revision leads to. */
export function nextRevision(revision: Revision): RevisionParts {
  return { count: parseRevision(revision).count + 1, nonce: randomBytes(NONCE_BYTES) };
}

export function formatRevision({ count, nonce }: RevisionParts): Revision {
  return `${count}.${nonce.toString('base64url')}`;
}

function parseRevision(revision: Revision): RevisionParts {
  const [count, nonce = ''] = revision.split('.');
  return { count: Number(count), nonce: Buffer.from(nonce, 'base64url') };
}

/** The arguments of a script that changes a record from one revision to the next. */
export function revisionArguments(revision: Revision, next: RevisionParts): Argument[] {
  const { count, nonce } = parseRevision(revision);
  return [String(count), nonce, String(next.count), next.nonce];
}
