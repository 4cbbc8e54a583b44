// Sessions and models in Redis (6.2 or newer, or Valkey; one server or a cluster), shared by all replicas of
// the service. A record is one hash, which one script changes (record-scripts.ts); beside the records is an index
// that finds them (session-index.ts).
import { randomBytes } from 'node:crypto';
import { CarryoverError } from '../../errors.ts';
import type { ListedRecord, RecordParts, Revision, SessionStore, StoredRecord, TakenTokens, TokensRequest } from '../store.ts';
import { parseRedisUrl } from '../../settings/redis-url.ts';
import { type Argument, toBuffer } from './client.ts';
import type { ConfirmationsOptions } from './confirmations.ts';
import { RedisConnection } from './connection.ts';
import type { DeadlineMs } from './connection-state.ts';
import { PREFIX, RedisKeys, afterEntriesOf } from './keys.ts';
import { RedisModels } from './models.ts';
import { isDone, nothingApplied } from './outcomes.ts';
import { firstRevision, formatRevision, nextRevision, revisionArguments } from './revision.ts';
import {
  ABSENT,
  CHANGE,
  CREATE,
  ERASE,
  LIVE,
  NONCE_BYTES,
  RENEW,
  SECRET,
  TAKE_TOKENS,
  WRITE_TOMBSTONE,
} from './record-scripts.ts';
import { SessionIndex } from './session-index.ts';

export interface RedisStoreOptions {
  /** In which every call is answered, whatever the server does. */
  readonly timeoutMs: number;
  /** Of all keys; PREFIX if absent. */
  readonly prefix?: string | undefined;
  /** Whether changes are answered only when replicas of Redis have them; if absent, they are not waited for. */
  readonly confirmations?: ConfirmationsOptions | undefined;
}

/** The pins of a model are read and sorted for a page of its sessions up to this number, about 100 kB. */
const SORTED_PINS_MAX = 4_000;
/** Entries of the index that are read at once to find those of a model, about 100 kB. */
const SCANNED_AT_ONCE = 1_000;

/** For this time after its deadline, a creation that was given up may still reach Redis. */
const CREATION_GRACE_MS = 60_000;

/** Redis itself erases a tombstone that is not forgotten, this time after it is due. */
const TOMBSTONE_GRACE_MS = 24 * 3_600_000;

/**
 * After this time beyond its lifetime Redis itself erases the record of a session that nobody has changed or looked
 * after: no service has run for so long. It is the time that an outage, or a return to a version which does not renew
 * it, may last.
 */
const ABANDONED_MS = 30 * 24 * 3_600_000;

/** A caller that waits longer for its share of a rate would rather go without. */
const TOKENS_TIMEOUT_MS = 250;

/** @throws Error, one line, if the URL is invalid or there is no usable server in time */
export async function openRedisStore(url: string, options: RedisStoreOptions): Promise<SessionStore> {
  const { timeoutMs, prefix = PREFIX, confirmations } = options;
  const keys = new RedisKeys(prefix);
  const connection = new RedisConnection(parseRedisUrl(url), keys, { timeoutMs, confirmations });
  await connection.open();
  return new RedisStore(connection, keys, timeoutMs);
}

class RedisStore implements SessionStore {
  readonly isShared = true;
  readonly models: RedisModels;
  readonly #connection: RedisConnection;
  readonly #keys: RedisKeys;
  readonly #index: SessionIndex;
  /** A creation that began longer ago is not completed any more. */
  readonly #creationMsMax: number;

  constructor(connection: RedisConnection, keys: RedisKeys, timeoutMs: number) {
    this.#connection = connection;
    this.#keys = keys;
    this.#index = new SessionIndex(connection, keys);
    this.#creationMsMax = timeoutMs + CREATION_GRACE_MS;
    this.models = new RedisModels(connection, keys);
  }

  get description(): string {
    return this.#connection.description;
  }

  now(): number {
    return this.#connection.clock.now();
  }

  problems(): readonly string[] {
    return this.#connection.problems();
  }

  async create(
    id: string,
    parts: RecordParts,
    dueAtMs: number,
    modelId: string,
  ): Promise<Revision | undefined> {
    const { eviction } = this.#connection;
    if (eviction) {
      throw new CarryoverError('store_unavailable', { detail: `${eviction}.`, applied: 'no' });
    }
    const deadlineMs = this.#connection.deadline();
    const added = await this.#index.add(id, dueAtMs, modelId, deadlineMs).catch(nothingApplied);
    const first = firstRevision();
    const ttlMs = String(this.#ttlMsOf(dueAtMs));
    const args = [first.nonce, modelId, toBuffer(parts.head), ttlMs, ...slotArguments(parts)];
    try {
      const answer = await this.#connection.run(CREATE, [this.#keys.record(id)], args, deadlineMs);
      if (isDone(answer.reply, answer)) return formatRevision(first);
    } catch (error) {
      if ((error as CarryoverError).applied === 'no') await this.#index.undo(added, deadlineMs);
      throw error;
    }
    await this.#index.undo(added, deadlineMs);
    return undefined;
  }

  async change(id: string, revision: Revision, parts: RecordParts): Promise<Revision | undefined> {
    const next = nextRevision(revision);
    const args = [...revisionArguments(revision, next), toBuffer(parts.head), ...slotArguments(parts)];
    const deadlineMs = this.#connection.deadline();
    const answer = await this.#connection.run(CHANGE, [this.#keys.record(id)], args, deadlineMs);
    return isDone(answer.reply, answer) ? formatRevision(next) : undefined;
  }

  async writeTombstone(id: string, revision: Revision, head: Uint8Array, dueAtMs: number): Promise<boolean> {
    const deadlineMs = this.#connection.deadline();
    const ttlMs = Math.max(0, Math.round(dueAtMs - this.now())) + TOMBSTONE_GRACE_MS;
    const revisions = revisionArguments(revision, nextRevision(revision));
    const args = [...revisions, toBuffer(head), String(ttlMs)];
    const answer = await this.#connection.run(WRITE_TOMBSTONE, [this.#keys.record(id)], args, deadlineMs);
    const [outcome, modelId] = answer.reply as [number, Buffer];
    if (!isDone(outcome, answer)) return false;
    try {
      await this.#index.unlist(id, String(modelId), dueAtMs, deadlineMs);
    } catch {
      // The tombstone is written. due() names it at its former time, and forget() removes the rest then.
    }
    return true;
  }

  async read(id: string): Promise<StoredRecord | undefined> {
    const key = [this.#keys.record(id)] as const;
    // Else a call could be answered, as by a repeated key, with a change that replicas do not have.
    const reply = await this.#connection.readConfirmed('hgetall', key, this.#connection.deadline());
    const { r, n, h, ...rest } = reply as Record<string, Buffer>;
    if (!r || !n || !h) return undefined;
    const slots = new Map<number, Uint8Array>();
    for (const [field, bytes] of Object.entries(rest)) {
      if (/^\d+$/.test(field)) slots.set(Number(field), bytes);
    }
    const revision = formatRevision({ count: Number(r), nonce: n.subarray(0, NONCE_BYTES) });
    return { revision, head: h, slots };
  }

  async due(nowMs: number, limit: number): Promise<string[]> {
    return this.#index.due(nowMs, limit);
  }

  async postpone(id: string, dueAtMs: number): Promise<void> {
    const args = [String(this.#ttlMsOf(dueAtMs))];
    await this.#connection.run(RENEW, [this.#keys.record(id)], args, this.#connection.deadline());
    await this.#index.postpone(id, dueAtMs);
  }

  /** After how many ms Redis itself may erase a record that is due at this time. */
  #ttlMsOf(dueAtMs: number): number {
    return Math.max(0, Math.round(dueAtMs - this.now())) + ABANDONED_MS;
  }

  async forget(id: string): Promise<void> {
    const deadlineMs = this.#connection.deadline();
    const { reply } = await this.#connection.run(ERASE, [this.#keys.record(id)], [], deadlineMs);
    if (reply === LIVE) return;
    if (reply === ABSENT && (await this.#mayBeInCreation(id, deadlineMs))) return;
    await this.#index.forget(id, deadlineMs);
  }

  /** Whether the record may be about to be written: its index is written first, and can be due at once. */
  async #mayBeInCreation(id: string, deadlineMs: DeadlineMs): Promise<boolean> {
    const dueAtMs = await this.#index.dueAtMs(id, deadlineMs);
    return dueAtMs !== undefined && dueAtMs > this.now() - this.#creationMsMax;
  }

  async list(
    after: string | undefined,
    limit: number,
    modelId?: string,
  ): Promise<ListedRecord[]> {
    if (modelId === undefined) return this.#listByIndex(after, limit);
    const deadlineMs = this.#connection.deadline();
    const pins = [this.#keys.pins(modelId)];
    const count = (await this.#connection.read('scard', pins, deadlineMs)) as number;
    if (count > SORTED_PINS_MAX) return this.#listByIndex(after, limit, modelId);
    const ids = ((await this.#connection.read('smembers', pins, deadlineMs)) as Buffer[])
      .map(String)
      .filter((id) => after === undefined || id > after)
      .toSorted();
    return this.#readLive(ids, limit, deadlineMs);
  }

  /** With a model: for one that many sessions pin, whose entries are therefore close together. */
  async #listByIndex(
    after: string | undefined,
    limit: number,
    modelId?: string,
  ): Promise<ListedRecord[]> {
    const deadlineMs = this.#connection.deadline();
    const records: ListedRecord[] = [];
    const first = after === undefined ? 0 : this.#keys.indexShards.indexOf(this.#keys.shardOf(after));
    let from: Argument | undefined = after === undefined ? '-' : afterEntriesOf(after);
    for (const { ids: key } of this.#keys.indexShards.slice(first)) {
      while (from !== undefined) {
        const wanted = limit - records.length;
        if (wanted <= 0) return records;
        const atOnce = modelId === undefined ? wanted : SCANNED_AT_ONCE;
        const page = await this.#index.page(key, from, atOnce, modelId, deadlineMs);
        records.push(...(await this.#readLive(page.ids, wanted, deadlineMs)));
        from = page.next;
      }
      from = '-';
    }
    return records;
  }

  /** The first `limit` live records with these ids, of which some may be without a record. */
  async #readLive(
    ids: readonly string[],
    limit: number,
    deadlineMs: DeadlineMs,
  ): Promise<ListedRecord[]> {
    const records: ListedRecord[] = [];
    for (let from = 0; from < ids.length && records.length < limit; ) {
      const batch = ids.slice(from, from + limit - records.length);
      const replies = await Promise.all(
        batch.map((id) => this.#connection.read('hmget', [this.#keys.record(id), 'l', 'h'], deadlineMs)),
      );
      batch.forEach((id, k) => {
        const [live, head] = replies[k] as (Buffer | null)[];
        if (head && String(live) === '1') records.push({ id, head });
      });
      from += batch.length;
    }
    return records;
  }

  async count(): Promise<number> {
    return this.#index.count();
  }

  async secret(): Promise<string> {
    const secret = randomBytes(16).toString('base64url');
    const { reply } = await this.#connection.run(SECRET, [this.#keys.secret], [secret], this.#connection.deadline());
    return String(reply);
  }

  async takeTokens(name: string, { perS, burst, debt, amount }: TokensRequest): Promise<TakenTokens> {
    const args = [perS / 1_000, burst, debt, amount].map(String);
    const deadlineMs = performance.now() + TOKENS_TIMEOUT_MS;
    const { reply } = await this.#connection.runUnconfirmed(TAKE_TOKENS, [this.#keys.rate(name)], args, deadlineMs);
    const [granted, waitMs, left] = (reply as Buffer[]).map(Number) as [number, number, number];
    return { granted, waitMs, left };
  }

  close(): Promise<void> {
    return this.#connection.close();
  }
}

function slotArguments({ slots }: RecordParts): Argument[] {
  return [...slots].flatMap(([slot, bytes]) => [String(slot), toBuffer(bytes)]);
}
