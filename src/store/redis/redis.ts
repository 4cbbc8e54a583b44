// Sessions and models in Redis (6.2 or newer, or Valkey; one server or a cluster), shared by replicas.
//
// A record is one hash, and one script changes it. Beside the records, on other nodes of a cluster, are
// what finds them: by time (due), by id (ids), by model (pins). No transaction covers both, so these
// may name more than there is, never less:
//
//   create: ids and due → pin → record      writeTombstone: record → pin → ids
//
// Wherever that breaks off, due still names the id, and forget() clears the rest away. The entry of an
// id in ids also holds its model: so a pin without a record is found and dropped.
//
// In a cluster every node has a log of its own: with appendfsync everysec a crash can lose the last
// second of the entries and keep that of the records. Such a session works but is not listed, and its
// record stays when it has expired.
import { randomBytes } from 'node:crypto';
import { CarryoverError } from '../../errors.ts';
import { modelNotFound } from '../model-not-found.ts';
import type { ListedRecord, RecordParts, Revision, SessionStore, StoredRecord } from '../store.ts';
import { parseRedisUrl } from './address.ts';
import type { Argument } from './client.ts';
import { INDEXES, entryOf, indexOf, partsOfEntry, upTo } from './index-keys.ts';
import { type Answer, type DeadlineMs, RedisConnection } from './connection.ts';
import { RedisModels, fileKey, pinsKey, toBuffer } from './models.ts';
import { type Place, after, newNonce, revisionOf, step } from './revision.ts';
import {
  ABSENT,
  WRITE_TOMBSTONE,
  CHANGE,
  CREATE,
  DONE,
  DROP,
  ERASE,
  INDEX,
  LIVE,
  NONCE_BYTES,
  PASSED,
  PIN,
  POSTPONE,
  SECRET,
  UNLIST,
  UNPIN,
} from './scripts.ts';

export interface RedisStoreOptions {
  /** In which every call is answered, whatever the server does. */
  readonly timeoutMs: number;
}

/** So many pins of a model are read and sorted for a page of its sessions, about 100 kB. */
const SORTED_PINS_MAX = 4_000;
/** So many ids are read at once to find those of a model, about 100 kB. */
const SCANNED_AT_ONCE = 1_000;

/** SessionCreation that were given up may still be under way for a while: so long, besides their time. */
const CREATION_GRACE_MS = 60_000;

/** If nobody ever forgets a tombstone, Redis does, so long after it is due. */
const TOMBSTONE_GRACE_MS = 24 * 3_600_000;

/** @throws Error, one line, if the URL is wrong or there is no usable server in time */
export async function openRedisStore(url: string, options: RedisStoreOptions): Promise<SessionStore> {
  const link = new RedisConnection(parseRedisUrl(url), options.timeoutMs);
  await link.open();
  return new RedisStore(link, options.timeoutMs);
}

const recordKey = (id: string) => `carryover:{${id}}:s`;

class RedisStore implements SessionStore {
  readonly isShared = true;
  readonly models: RedisModels;
  readonly #link: RedisConnection;
  /** What is half made for longer stays so. */
  readonly #creationMsMax: number;

  constructor(link: RedisConnection, timeoutMs: number) {
    this.#link = link;
    this.#creationMsMax = timeoutMs + CREATION_GRACE_MS;
    this.models = new RedisModels(link);
  }

  get description(): string {
    return this.#link.description;
  }

  now(): number {
    return this.#link.clock.now();
  }

  async secret(): Promise<string> {
    const text = randomBytes(16).toString('base64url');
    const { reply } = await this.#link.run(SECRET, ['carryover:secret'], [text], this.#link.deadline());
    return String(reply);
  }

  problems(): readonly string[] {
    return this.#link.problems();
  }

  async create(
    id: string,
    parts: RecordParts,
    dueAtMs: number,
    modelId: string,
  ): Promise<Revision | undefined> {
    const { eviction } = this.#link;
    if (eviction) {
      throw new CarryoverError('store_unavailable', { detail: `${eviction}.`, applied: 'no' });
    }
    const deadlineMs = this.#link.deadline();
    const undo = await this.#announce(id, dueAtMs, modelId, deadlineMs).catch(nothingApplied);
    const first: Place = { count: 0, nonce: newNonce() };
    const args = [first.nonce, modelId, toBuffer(parts.head), ...slotsOf(parts)];
    try {
      const answer = await this.#link.run(CREATE, [recordKey(id)], args, deadlineMs);
      if (isDone(answer.reply, answer)) return revisionOf(first);
    } catch (error) {
      if ((error as CarryoverError).applied === 'no') await undo();
      throw error;
    }
    await undo();
    return undefined;
  }

  async change(id: string, revision: Revision, parts: RecordParts): Promise<Revision | undefined> {
    const next = after(revision);
    const args = [...step(revision, next), toBuffer(parts.head), ...slotsOf(parts)];
    const answer = await this.#link.run(CHANGE, [recordKey(id)], args, this.#link.deadline());
    return isDone(answer.reply, answer) ? revisionOf(next) : undefined;
  }

  async writeTombstone(id: string, revision: Revision, head: Uint8Array, dueAtMs: number): Promise<boolean> {
    const deadlineMs = this.#link.deadline();
    const leftMs = Math.max(0, Math.round(dueAtMs - this.now())) + TOMBSTONE_GRACE_MS;
    const args = [...step(revision, after(revision)), toBuffer(head), String(leftMs)];
    const answer = await this.#link.run(WRITE_TOMBSTONE, [recordKey(id)], args, deadlineMs);
    const [outcome, modelId] = answer.reply as [number, Buffer];
    if (!isDone(outcome, answer)) return false;
    const { due, ids } = indexOf(id);
    try {
      await this.#link.run(UNPIN, [pinsKey(String(modelId))], [id], deadlineMs);
      const entry = entryOf(id, String(modelId));
      await this.#link.run(UNLIST, [due, ids], [id, String(dueAtMs), entry], deadlineMs);
    } catch {
      // It is buried. due() names it at its former time, and forget() does the rest then.
    }
    return true;
  }

  async read(id: string): Promise<StoredRecord | undefined> {
    const reply = await this.#link.read('hgetall', [recordKey(id)], this.#link.deadline());
    const { r, n, h, ...rest } = reply as Record<string, Buffer>;
    if (!r || !n || !h) return undefined;
    const slots = new Map<number, Uint8Array>();
    for (const [field, bytes] of Object.entries(rest)) {
      if (/^\d+$/.test(field)) slots.set(Number(field), bytes);
    }
    const place = { count: Number(r), nonce: n.subarray(0, NONCE_BYTES) };
    return { revision: revisionOf(place), head: h, slots };
  }

  async due(nowMs: number, limit: number): Promise<string[]> {
    const deadlineMs = this.#link.deadline();
    const range = ['-inf', String(nowMs), 'WITHSCORES', 'LIMIT', '0', String(limit)];
    const replies = await Promise.all(
      INDEXES.map(({ due }) => this.#link.read('zrangebyscore', [due, ...range], deadlineMs)),
    );
    return replies
      .flatMap((reply) => scored(reply as Buffer[]))
      .toSorted((a, b) => a.score - b.score)
      .slice(0, limit)
      .map(({ member }) => member);
  }

  async postpone(id: string, dueAtMs: number): Promise<void> {
    const args = [id, String(dueAtMs)];
    await this.#link.run(POSTPONE, [indexOf(id).due], args, this.#link.deadline());
  }

  async forget(id: string): Promise<void> {
    const deadlineMs = this.#link.deadline();
    const { due, ids } = indexOf(id);
    const { reply } = await this.#link.run(ERASE, [recordKey(id)], [], deadlineMs);
    if (reply === LIVE) return;
    // The record may be about to come: its entries come first, and can be due at once.
    if (reply === ABSENT && (await this.#isBeingMade(id, due, deadlineMs))) return;
    const range = [Buffer.from(`[${id}\0`), upTo(id)];
    const entries = (await this.#link.read('zrangebylex', [ids, ...range], deadlineMs)) as Buffer[];
    for (const entry of entries) {
      const modelId = String(entry).slice(id.length + 1);
      await this.#link.run(UNPIN, [pinsKey(modelId)], [id], deadlineMs);
    }
    await this.#link.run(DROP, [due, ids], [id, ...entries], deadlineMs);
  }

  /** Whether it is due for so short a time only that it may have been announced just now. */
  async #isBeingMade(id: string, due: string, deadlineMs: DeadlineMs): Promise<boolean> {
    const score = await this.#link.read('zscore', [due, id], deadlineMs);
    return score !== null && Number(score) > this.now() - this.#creationMsMax;
  }

  async list(
    after: string | undefined,
    limit: number,
    modelId?: string,
  ): Promise<ListedRecord[]> {
    if (modelId === undefined) return this.#listAll(after, limit);
    const deadlineMs = this.#link.deadline();
    const pins = [pinsKey(modelId)];
    const count = (await this.#link.read('scard', pins, deadlineMs)) as number;
    if (count > SORTED_PINS_MAX) return this.#listAll(after, limit, modelId);
    const ids = ((await this.#link.read('smembers', pins, deadlineMs)) as Buffer[])
      .map(String)
      .filter((id) => after === undefined || id > after)
      .toSorted();
    return this.#liveUpTo(ids, limit, deadlineMs);
  }

  /**
   * By the index of all ids, of which each entry has its model: those of one that many sessions pin are
   * never far apart.
   */
  async #listAll(
    after: string | undefined,
    limit: number,
    modelId?: string,
  ): Promise<ListedRecord[]> {
    const deadlineMs = this.#link.deadline();
    const records: ListedRecord[] = [];
    const first = after === undefined ? 0 : INDEXES.indexOf(indexOf(after));
    let from: Argument = after === undefined ? '-' : upTo(after);
    for (const { ids: key } of INDEXES.slice(first)) {
      for (;;) {
        const wanted = limit - records.length;
        if (wanted <= 0) return records;
        const atOnce = modelId === undefined ? wanted : SCANNED_AT_ONCE;
        const range = [from, '+', 'LIMIT', '0', String(atOnce)];
        const reply = await this.#link.read('zrangebylex', [key, ...range], deadlineMs);
        const entries = reply as Buffer[];
        const ids = entries
          .map(partsOfEntry)
          .filter((entry) => modelId === undefined || entry.modelId === modelId)
          .map(({ id }) => id);
        records.push(...(await this.#liveUpTo(ids, wanted, deadlineMs)));
        if (entries.length < atOnce) break;
        from = Buffer.concat([Buffer.from('('), entries.at(-1)!]);
      }
      from = '-';
    }
    return records;
  }

  async count(): Promise<number> {
    const deadlineMs = this.#link.deadline();
    const counts = await Promise.all(
      INDEXES.map(({ ids }) => this.#link.read('zcard', [ids], deadlineMs)),
    );
    return (counts as number[]).reduce((sum, count) => sum + count, 0);
  }

  close(): Promise<void> {
    return this.#link.close();
  }

  /** Everything that finds a record, before there is one. Answers with how to take it back. */
  async #announce(id: string, dueAtMs: number, modelId: string, deadlineMs: DeadlineMs) {
    const { due, ids } = indexOf(id);
    const entry = entryOf(id, modelId);
    const index = await this.#link.run(INDEX, [due, ids], [id, String(dueAtMs), entry], deadlineMs);
    const [dueBefore, isEntryNew] = index.reply as [Buffer | null, number];
    const drop = async () => {
      // What was there already belongs to another record of this id.
      const args = [dueBefore ? '' : id, ...(isEntryNew ? [entry] : [])];
      await this.#link.run(DROP, [due, ids], args, deadlineMs).catch(() => {});
      if (dueBefore) await this.postpone(id, Number(dueBefore)).catch(() => {});
    };
    const keys = [fileKey(modelId), pinsKey(modelId)];
    const pin = await this.#link.run(PIN, keys, [id], deadlineMs).catch(async (error) => {
      // While there may be a pin, its entry stays: it is what leads to it.
      if (error.applied === 'no') await drop();
      throw error;
    });
    const [isThere, isPinNew] = pin.reply as [number, number];
    if (!isThere) {
      await drop();
      throw modelNotFound(modelId);
    }
    return async () => {
      if (isPinNew) await this.#link.run(UNPIN, [keys[1]!], [id], deadlineMs).catch(() => {});
      await drop();
    };
  }

  /** The first `limit` of them: an id may be there without its record. */
  async #liveUpTo(
    ids: readonly string[],
    limit: number,
    deadlineMs: DeadlineMs,
  ): Promise<ListedRecord[]> {
    const records: ListedRecord[] = [];
    for (let from = 0; from < ids.length && records.length < limit; ) {
      const piece = ids.slice(from, from + limit - records.length);
      records.push(...(await this.#liveOf(piece, deadlineMs)));
      from += piece.length;
    }
    return records;
  }

  async #liveOf(ids: readonly string[], deadlineMs: DeadlineMs): Promise<ListedRecord[]> {
    const replies = await Promise.all(
      ids.map((id) => this.#link.read('hmget', [recordKey(id), 'l', 'h'], deadlineMs)),
    );
    return ids.flatMap((id, k) => {
      const [live, head] = replies[k] as (Buffer | null)[];
      return head && String(live) === '1' ? [{ id, head }] : [];
    });
  }
}

function slotsOf({ slots }: RecordParts): Argument[] {
  return [...slots].flatMap(([slot, bytes]) => [String(slot), toBuffer(bytes)]);
}

/** @throws store_unavailable, applied unknown, if a repeated change cannot be told from others */
function isDone(outcome: unknown, { isRepeat }: Answer): boolean {
  if (outcome === PASSED && isRepeat) {
    throw new CarryoverError('store_unavailable', {
      detail: 'An answer of Redis was lost, and others have changed the session since: read it.',
      applied: 'unknown',
    });
  }
  return outcome === DONE;
}

/** Before there is a record nothing that may have been done counts. */
function nothingApplied(error: CarryoverError): never {
  const { code, message: detail, cause } = error;
  throw error.applied === 'no' ? error : new CarryoverError(code, { detail, cause, applied: 'no' });
}

/** [member, score, member, score, …] */
function scored(reply: readonly Buffer[]): { member: string; score: number }[] {
  return Array.from({ length: reply.length / 2 }, (_, k) => ({
    member: String(reply[2 * k]),
    score: Number(reply[2 * k + 1]),
  }));
}
