// Pages of sessions, bounded in bytes as well as in number.
import type { SessionStore } from '../store/store.ts';
import { ifIntact } from './lookup.ts';
import { decodeHead, isTombstone } from './record.ts';
import type { Session } from './session.ts';

/** Of the records of a page: the states are read with them, and their digests are computed. */
const LIST_BYTES_MAX = 4 * 1024 * 1024;
/** So many are asked for first, and while they are small each time twice as many. */
const LIST_FIRST = 16;

export interface SessionPage {
  /** Without their answers and past. */
  readonly sessions: readonly Session[];
  /** The ids of damaged records. */
  readonly damaged: readonly string[];
  /** Continues where the page ends; undefined after the last one. */
  readonly next: string | undefined;
}

/**
 * Live sessions in the order of their ids, all or those of a model; fewer than `limit` if they are large.
 *
 * @param after the `next` of the page before
 */
export async function listSessions(
  store: SessionStore,
  isAlive: (session: Session) => boolean,
  after: string | undefined,
  limit: number,
  modelId?: string,
): Promise<SessionPage> {
  const sessions: Session[] = [];
  const damaged: string[] = [];
  let next = after;
  let [bytes, left, atOnce] = [0, limit, LIST_FIRST];
  for (; left > 0 && bytes < LIST_BYTES_MAX; atOnce *= 2) {
    const wanted = Math.min(left, atOnce);
    const records = await store.list(next, wanted, modelId);
    for (const { id, head } of records) {
      bytes += head.length;
      const record = ifIntact(() => decodeHead(id, head));
      if (!record) damaged.push(id);
      else if (!isTombstone(record) && isAlive(record)) sessions.push(record);
    }
    if (records.length < wanted) return { sessions, damaged, next: undefined };
    next = records.at(-1)!.id;
    left -= records.length;
  }
  return { sessions, damaged, next };
}
