// Pages of the list of sessions, bounded in bytes as well as in number.
import type { SessionStore } from '../store/store.ts';
import { ifIntact } from './lookup.ts';
import { decodeHead, isTombstone } from './record.ts';
import type { Session } from './session.ts';

/** Records of a page, about: their states are read with them, and digests of the states computed. */
const PAGE_BYTES_MAX = 4 * 1024 * 1024;
/** Records in the first batch; each further batch has twice as many. */
const FIRST_BATCH_SIZE = 16;

export interface SessionPage {
  /** Without their kept answers and past states. */
  readonly sessions: readonly Session[];
  /** The ids of damaged records. */
  readonly damaged: readonly string[];
  /** Where the next page starts; undefined after the last one. */
  readonly next: string | undefined;
}

/**
 * Sessions that have not expired, in the order of their ids; fewer than `limit` if their records are large.
 *
 * @param after the `next` of the page before
 * @param modelId lists only the sessions of this model
 */
export async function listSessions(
  store: SessionStore,
  hasExpired: (session: Session) => boolean,
  after: string | undefined,
  limit: number,
  modelId?: string,
): Promise<SessionPage> {
  const sessions: Session[] = [];
  const damaged: string[] = [];
  let next = after;
  let [bytes, left, batchSize] = [0, limit, FIRST_BATCH_SIZE];
  for (; left > 0 && bytes < PAGE_BYTES_MAX; batchSize *= 2) {
    const wanted = Math.min(left, batchSize);
    const records = await store.list(next, wanted, modelId);
    for (const { id, head } of records) {
      bytes += head.length;
      const record = ifIntact(() => decodeHead(id, head));
      if (!record) damaged.push(id);
      else if (!isTombstone(record) && !hasExpired(record)) sessions.push(record);
    }
    if (records.length < wanted) return { sessions, damaged, next: undefined };
    next = records.at(-1)!.id;
    left -= records.length;
  }
  return { sessions, damaged, next };
}
