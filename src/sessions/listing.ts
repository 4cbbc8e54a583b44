// Pages of the list of sessions, bounded in bytes as well as in number.
import { setImmediate as nextIteration } from 'node:timers/promises';
import type { SessionStore } from '../store/store.ts';
import type { Tenant } from '../tenant.ts';
import { ifIntact } from './lookup.ts';
import { decodeHead, isTombstone } from './record.ts';
import { endOfPrefix, idPrefixOf, isOwnedBy, prefixIn } from './session-owner.ts';
import type { Session } from './session.ts';

/** Records of a page, about: their states are read with them, and digests of the states computed. */
const PAGE_BYTES_MAX = 4 * 1024 * 1024;
/** Each range of ids that is skipped counts as so many bytes: a page ends also where there is nothing but such ranges. */
const SKIPPED_RANGE_BYTES = 16 * 1024;
/** Records in the first batch; each further batch has twice as many, up to what is read in 2 ms. */
const FIRST_BATCH_SIZE = 16;
const BATCH_SIZE_MAX = 128;

export interface SessionPage {
  /** Without their kept answers and past states. */
  readonly sessions: readonly Session[];
  /** The ids of damaged records. */
  readonly damaged: readonly string[];
  /** Where the next page starts; undefined after the last one. */
  readonly next: string | undefined;
}

export interface ListedSessions {
  /** The `next` of the page before. */
  readonly after: string | undefined;
  readonly limit: number;
  /** Lists only the sessions of this model. */
  readonly modelId: string | undefined;
  /** Lists only the sessions of this tenant. */
  readonly tenant: Tenant;
}

/** Sessions that have not expired, in the order of their ids; fewer than `limit` if their records are large. */
export async function listSessions(
  store: SessionStore,
  hasExpired: (session: Session) => boolean,
  { after, limit, modelId, tenant }: ListedSessions,
): Promise<SessionPage> {
  const sessions: Session[] = [];
  const damaged: string[] = [];
  let next = startOf(tenant, after);
  let [bytes, left, batchSize] = [0, limit, FIRST_BATCH_SIZE];
  for (; left > 0 && bytes < PAGE_BYTES_MAX; batchSize = Math.min(2 * batchSize, BATCH_SIZE_MAX)) {
    // The store may have answered from memory: without this all batches were read in one event-loop iteration.
    if (batchSize > FIRST_BATCH_SIZE) await nextIteration();
    const wanted = Math.min(left, batchSize);
    const listed = await store.list(next, wanted, modelId);
    const foreign = listed.findIndex(({ id }) => !isOwnedBy(id, tenant));
    const records = foreign < 0 ? listed : listed.slice(0, foreign);
    for (const { id, head } of records) {
      bytes += head.length;
      const record = ifIntact(() => decodeHead(id, head));
      if (!record) damaged.push(id);
      else if (!isTombstone(record) && !hasExpired(record)) sessions.push(record);
    }
    left -= records.length;
    if (foreign >= 0) {
      // The default tenant's ids are among those of the others, whose ranges are skipped.
      if (idPrefixOf(tenant) !== '') return { sessions, damaged, next: undefined };
      next = endOfPrefix(prefixIn(listed[foreign]!.id));
      bytes += SKIPPED_RANGE_BYTES;
      continue;
    }
    if (records.length < wanted) return { sessions, damaged, next: undefined };
    next = records.at(-1)!.id;
  }
  return { sessions, damaged, next };
}

/** The cursor of the first page is the prefix of the tenant's ids, which is no id itself. */
function startOf(tenant: Tenant, after: string | undefined): string | undefined {
  const prefix = idPrefixOf(tenant);
  return prefix === '' || (after !== undefined && after > prefix) ? after : prefix;
}
