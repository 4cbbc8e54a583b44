// Reads the record of a session from the store, or throws the error that says why there is none.
import { CarryoverError } from '../errors.ts';
import type { Revision, SessionStore, StoredRecord } from '../store/store.ts';
import type { CachedSession } from './session-cache.ts';
import { decodeRecord, isTombstone } from './record.ts';
import { sessionGone } from './session-gone.ts';
import { sessionNotFound } from './session-not-found.ts';
import type { Session, Tombstone } from './session.ts';

/** A session; whether it has expired is not checked. @throws session_not_found · session_gone · session_corrupt */
export async function readSession(store: SessionStore, id: string): Promise<CachedSession> {
  const { record, revision } = await readRecord(store, id);
  if (isTombstone(record)) throw sessionGone(record);
  return { session: record, revision };
}

/** A session or its tombstone. @throws session_not_found · session_corrupt */
export async function readRecord(
  store: SessionStore,
  id: string,
): Promise<{ record: Session | Tombstone; revision: Revision }> {
  const stored = await readStored(store, id);
  return { record: decodeRecord(id, stored), revision: stored.revision };
}

/** The bytes of a record, not decoded: they may be damaged. @throws session_not_found */
export async function readStored(store: SessionStore, id: string): Promise<StoredRecord> {
  const stored = await store.read(id);
  if (stored) return stored;
  throw sessionNotFound(id);
}

/** What `decode` returns; undefined if it throws session_corrupt. */
export function ifIntact<Decoded>(decode: () => Decoded): Decoded | undefined {
  try {
    return decode();
  } catch (error) {
    if (error instanceof CarryoverError && error.code === 'session_corrupt') return undefined;
    throw error;
  }
}
