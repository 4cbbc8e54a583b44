// What finds the sessions in Redis: by time (due), by id (ids), by model (pins). It is on other nodes of a
// cluster than the records, and no transaction covers both; so it may name more sessions than there are,
// and never fewer:
//
//   creation: ids and due → pin → record      tombstone: record → pin → ids
//
// Wherever that is interrupted, due still names the id, and forget() removes the rest. An entry of ids also
// holds the model of its session, so that the pin of a session without a record is found and removed.
//
// In a cluster every node has its own append-only file: with appendfsync everysec a crash can lose the index
// of the last second and keep the records. Such a session works, but it is not listed, and its record stays
// after it has expired.
import type { CarryoverError } from '../../errors.ts';
import { modelNotFound } from '../model-not-found.ts';
import type { Argument } from './client.ts';
import type { RedisConnection } from './connection.ts';
import type { DeadlineMs } from './connection-state.ts';
import { type RedisKeys, afterEntriesOf, entryOf, fromEntriesOf, parseEntry } from './keys.ts';
import { DROP, INDEX, PIN, POSTPONE, UNLIST, UNPIN } from './record-scripts.ts';

/** What SessionIndex.add() has written that was not there before. */
export interface AddedToIndex {
  readonly id: string;
  readonly modelId: string;
  /** When the id was due before, if it was. */
  readonly dueBeforeMs: number | undefined;
  readonly isEntryNew: boolean;
  readonly isPinNew: boolean;
}

export interface IndexPage {
  readonly ids: string[];
  /** To continue after this page; undefined at the end of the shard. */
  readonly next: Argument | undefined;
}

export class SessionIndex {
  readonly #connection: RedisConnection;
  readonly #keys: RedisKeys;

  constructor(connection: RedisConnection, keys: RedisKeys) {
    this.#connection = connection;
    this.#keys = keys;
  }

  /**
   * Writes all that finds a session, before its record is written.
   *
   * @throws model_not_found, and nothing was added · CarryoverError
   */
  async add(id: string, dueAtMs: number, modelId: string, deadlineMs: DeadlineMs): Promise<AddedToIndex> {
    const { due, ids } = this.#keys.shardOf(id);
    const args = [id, String(dueAtMs), entryOf(id, modelId)];
    const indexed = await this.#connection.run(INDEX, [due, ids], args, deadlineMs);
    const [dueBefore, isEntryNew] = indexed.reply as [Buffer | null, number];
    const added = {
      id,
      modelId,
      dueBeforeMs: dueBefore === null ? undefined : Number(dueBefore),
      isEntryNew: isEntryNew === 1,
      isPinNew: false,
    };
    const [isModelStored, isPinNew] = await this.#pin(added, deadlineMs);
    if (!isModelStored) {
      await this.undo(added, deadlineMs);
      throw modelNotFound(modelId);
    }
    return { ...added, isPinNew: isPinNew === 1 };
  }

  async #pin(added: AddedToIndex, deadlineMs: DeadlineMs): Promise<[isModelStored: number, isPinNew: number]> {
    const { id, modelId } = added;
    try {
      const keys = [this.#keys.file(modelId), this.#keys.pins(modelId)];
      const { reply } = await this.#connection.run(PIN, keys, [id], deadlineMs);
      return reply as [number, number];
    } catch (error) {
      // While there may be a pin, its entry stays, by which forget() finds the pin.
      if ((error as CarryoverError).applied === 'no') await this.undo(added, deadlineMs);
      throw error;
    }
  }

  /** Takes back what add() has written, as far as Redis answers; forget() removes the rest. */
  async undo(added: AddedToIndex, deadlineMs: DeadlineMs): Promise<void> {
    const { id, modelId, dueBeforeMs, isEntryNew, isPinNew } = added;
    if (isPinNew) await settled(this.#connection.run(UNPIN, [this.#keys.pins(modelId)], [id], deadlineMs));
    const { due, ids } = this.#keys.shardOf(id);
    // What was there before belongs to another record of this id.
    const idToDrop = dueBeforeMs === undefined ? id : '';
    const entriesToDrop = isEntryNew ? [entryOf(id, modelId)] : [];
    await settled(this.#connection.run(DROP, [due, ids], [idToDrop, ...entriesToDrop], deadlineMs));
    if (dueBeforeMs !== undefined) await settled(this.postpone(id, dueBeforeMs));
  }

  /** For a session that became a tombstone: its pin and its entry are removed, and it is due at this time. */
  async unlist(id: string, modelId: string, dueAtMs: number, deadlineMs: DeadlineMs): Promise<void> {
    await this.#connection.run(UNPIN, [this.#keys.pins(modelId)], [id], deadlineMs);
    const { due, ids } = this.#keys.shardOf(id);
    const args = [id, String(dueAtMs), entryOf(id, modelId)];
    await this.#connection.run(UNLIST, [due, ids], args, deadlineMs);
  }

  /** Removes all that finds a session whose record is gone. */
  async forget(id: string, deadlineMs: DeadlineMs): Promise<void> {
    const { due, ids } = this.#keys.shardOf(id);
    const range = [ids, fromEntriesOf(id), afterEntriesOf(id)];
    const entries = (await this.#connection.read('zrangebylex', range, deadlineMs)) as Buffer[];
    for (const entry of entries) {
      await this.#connection.run(UNPIN, [this.#keys.pins(parseEntry(entry).modelId)], [id], deadlineMs);
    }
    await this.#connection.run(DROP, [due, ids], [id, ...entries], deadlineMs);
  }

  async postpone(id: string, dueAtMs: number): Promise<void> {
    const args = [id, String(dueAtMs)];
    await this.#connection.run(POSTPONE, [this.#keys.shardOf(id).due], args, this.#connection.deadline());
  }

  /** The ids due at or before this time, earliest first. */
  async due(nowMs: number, limit: number): Promise<string[]> {
    const deadlineMs = this.#connection.deadline();
    const range = ['-inf', String(nowMs), 'WITHSCORES', 'LIMIT', '0', String(limit)];
    const replies = await Promise.all(
      this.#keys.indexShards.map(({ due }) => this.#connection.read('zrangebyscore', [due, ...range], deadlineMs)),
    );
    return replies
      .flatMap((reply) => scoredMembers(reply as Buffer[]))
      .toSorted((a, b) => a.score - b.score)
      .slice(0, limit)
      .map(({ member }) => member);
  }

  /** When the id is due, in ms; undefined if the index does not have it. */
  async dueAtMs(id: string, deadlineMs: DeadlineMs): Promise<number | undefined> {
    const score = (await this.#connection.read('zscore', [this.#keys.shardOf(id).due, id], deadlineMs)) as Buffer | null;
    return score === null ? undefined : Number(score);
  }

  /** The number of sessions that are listed. */
  async count(): Promise<number> {
    const deadlineMs = this.#connection.deadline();
    const counts = await Promise.all(
      this.#keys.indexShards.map(({ ids }) => this.#connection.read('zcard', [ids], deadlineMs)),
    );
    return (counts as number[]).reduce((sum, count) => sum + count, 0);
  }

  /**
   * Reads entries of one shard, and returns the ids of those with this model, or all.
   *
   * @param key `ids` of the shard
   * @param from '-' for the beginning of the shard, afterEntriesOf() an id, or `next` of the page before
   * @param limit entries that are read
   */
  async page(
    key: string,
    from: Argument,
    limit: number,
    modelId: string | undefined,
    deadlineMs: DeadlineMs,
  ): Promise<IndexPage> {
    const range = [key, from, '+', 'LIMIT', '0', String(limit)];
    const entries = (await this.#connection.read('zrangebylex', range, deadlineMs)) as Buffer[];
    const ids = entries
      .map(parseEntry)
      .filter((entry) => modelId === undefined || entry.modelId === modelId)
      .map(({ id }) => id);
    const isLast = entries.length < limit;
    return { ids, next: isLast ? undefined : Buffer.concat([Buffer.from('('), entries.at(-1)!]) };
  }
}

/** Waits for a request whose failure changes nothing for the caller. */
async function settled(request: Promise<unknown>): Promise<void> {
  await request.catch(() => {});
}

/** @param reply [member, score, member, score, …] */
function scoredMembers(reply: readonly Buffer[]): { member: string; score: number }[] {
  return Array.from({ length: reply.length / 2 }, (_, k) => ({
    member: String(reply[2 * k]),
    score: Number(reply[2 * k + 1]),
  }));
}
