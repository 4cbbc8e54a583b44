// How many sessions each tenant has, and the bytes of their states, for its limits.
//
// Nobody keeps these numbers in the store: they are counted when a tenant that has a limit creates its first session, and
// from then on this process counts what it creates and ends itself. In a store that other processes share, they are
// counted again from time to time, so what the others do is seen late, by RECOUNTED_MS about. A session counts until its
// tombstone is written, which the sweeper does within seconds after it has expired.
import { CarryoverError } from '../errors.ts';
import type { SessionStore } from '../store/store.ts';
import type { Tenant } from '../tenant.ts';
import { listSessions } from './listing.ts';
import { idPrefixOf, prefixIn } from './session-owner.ts';
import type { Session } from './session.ts';

/** What a tenant may have; undefined is no limit. */
export interface SessionLimits {
  readonly sessions?: number | undefined;
  readonly state_bytes?: number | undefined;
}

export interface TenantSessionsOptions {
  readonly limitsOf: (tenant: Tenant) => SessionLimits;
  readonly onLimited?: ((kind: keyof SessionLimits) => void) | undefined;
}

/** Sessions of other processes are counted this often at most. */
const RECOUNTED_MS = 10_000;
/** Counting may take one part in so many of the time: many sessions are counted less often. */
const COUNTING_PART = 20;
const PAGE_SESSIONS = 1_000;
/** A session that ends may make room at any time, but nobody knows when. */
const RETRY_AFTER_MS = 10_000;

/** The sessions with one prefix of their ids. */
interface Count {
  sessions: number;
  bytes: number;
  /** Being created: not in the store yet, or not known to be. */
  creating: number;
  creatingBytes: number;
  counted: Promise<void> | undefined;
  recountAtMs: number;
  /** While they are counted: bytes by id, of those that were found or created. */
  found: Map<string, number> | undefined;
  /** While they are counted: those that have ended since. */
  ended: Set<string>;
}

/** Room for one session. */
export interface Reserved {
  /** The session was created, with this id. */
  created(id: string): void;
  /** It was not. */
  cancel(): void;
}

export class TenantSessions {
  readonly #store: SessionStore;
  readonly #options: TenantSessionsOptions;
  readonly #counts = new Map<string, Count>();

  constructor(store: SessionStore, options: TenantSessionsOptions) {
    this.#store = store;
    this.#options = options;
  }

  /**
   * Reserves room for one more session of the tenant; undefined if it has no limit.
   *
   * @throws rate_limited · store_unavailable
   */
  async reserve(tenant: Tenant, bytes: number): Promise<Reserved | undefined> {
    const { sessions, state_bytes } = this.#options.limitsOf(tenant);
    if (sessions === undefined && state_bytes === undefined) return undefined;
    const count = await this.#countOf(tenant);
    this.#expectRoom('sessions', count.sessions + count.creating + 1, sessions);
    this.#expectRoom('state_bytes', count.bytes + count.creatingBytes + bytes, state_bytes);
    count.creating++;
    count.creatingBytes += bytes;
    const end = () => {
      count.creating--;
      count.creatingBytes -= bytes;
    };
    return {
      created: (id) => {
        end();
        count.sessions++;
        count.bytes += bytes;
        count.found?.set(id, bytes);
      },
      cancel: end,
    };
  }

  /** A session has ended. @param session undefined if its record was damaged */
  ended(id: string, session: Session | undefined): void {
    const count = this.#counts.get(prefixIn(id));
    if (!count) return;
    count.ended.add(id);
    count.found?.delete(id);
    if (!count.found) count.ended.clear();
    // How large it was is found by counting again.
    if (!session) count.recountAtMs = 0;
    count.sessions = Math.max(0, count.sessions - 1);
    count.bytes = Math.max(0, count.bytes - (session?.state.byteLength ?? 0));
  }

  #expectRoom(kind: keyof SessionLimits, wanted: number, max: number | undefined): void {
    if (max === undefined || wanted <= max) return;
    this.#options.onLimited?.(kind);
    const what = kind === 'sessions' ? 'open sessions' : 'bytes of states';
    throw new CarryoverError('rate_limited', {
      detail: `With this session the tenant would have ${wanted} ${what}, at most ${max} are allowed (${kind}). End others first.`,
      retryAfterMs: RETRY_AFTER_MS,
    });
  }

  async #countOf(tenant: Tenant): Promise<Count> {
    const prefix = idPrefixOf(tenant);
    const nowMs = performance.now();
    const known = this.#counts.get(prefix);
    if (known) {
      // With what was counted before, in the meantime.
      if (nowMs >= known.recountAtMs && !known.found) void this.#recount(known, tenant).catch(() => {});
      await known.counted;
      return known;
    }
    const count: Count = {
      sessions: 0,
      bytes: 0,
      creating: 0,
      creatingBytes: 0,
      counted: undefined,
      recountAtMs: 0,
      found: undefined,
      ended: new Set(),
    };
    this.#counts.set(prefix, count);
    count.counted = this.#recount(count, tenant);
    try {
      await count.counted;
    } catch (error) {
      this.#counts.delete(prefix);
      throw error;
    }
    return count;
  }

  async #recount(count: Count, tenant: Tenant): Promise<void> {
    const startMs = performance.now();
    const found = new Map<string, number>();
    count.found = found;
    count.ended.clear();
    count.recountAtMs = Infinity;
    try {
      for (let after: string | undefined; ; ) {
        const options = { after, limit: PAGE_SESSIONS, modelId: undefined, tenant };
        const page = await listSessions(this.#store, () => false, options);
        for (const { id, state } of page.sessions) if (!count.ended.has(id)) found.set(id, state.byteLength);
        for (const id of page.damaged) if (!count.ended.has(id)) found.set(id, 0);
        after = page.next;
        if (after === undefined) break;
      }
      count.sessions = found.size;
      count.bytes = [...found.values()].reduce((sum, bytes) => sum + bytes, 0);
      if (!this.#store.isShared) return;
      const nowMs = performance.now();
      count.recountAtMs = nowMs + Math.max(RECOUNTED_MS, COUNTING_PART * (nowMs - startMs));
    } catch (error) {
      count.recountAtMs = performance.now() + RECOUNTED_MS;
      throw error;
    } finally {
      count.found = undefined;
      count.ended.clear();
    }
  }
}
