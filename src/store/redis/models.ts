// The models in Redis. A file is one hash (chunks 0, 1, … and their number n, at, inc), beside it the
// set of the sessions that pin it. The list of models and their names is on one node, with a revision
// that every change of it moves.
//
// A model is listed after its file is there and taken off the list after its file is gone. A crash in
// between leaves a file that is not listed, which put() finds, or an entry without a file, which
// get() and remove() take off. An incarnation tells a file from one that was put later.
import { randomBytes, randomInt } from 'node:crypto';
import { modelNotFound } from '../model-not-found.ts';
import type { ModelStore, StoredModel } from '../store.ts';
import type { Argument } from './client.ts';
import type { DeadlineMs, RedisConnection } from './connection.ts';
import {
  COLLECT_MODEL,
  KEEP_MODEL,
  LIST_MODEL,
  POINT,
  PUT_MODEL,
  RANDOMS,
  REMOVE_MODEL,
  type Script,
  UNLIST_MODEL,
  UPLOAD,
} from './scripts.ts';

/** So much at a time: in between Redis answers others, and the connection is seen to be alive. */
const CHUNK_BYTES = 1024 * 1024;
const UPLOAD_LIFETIME_MS = String(3_600_000);

const REVISION = 'carryover:{models}:revision';
const MODELS = 'carryover:{models}:ids';
const NAMES = 'carryover:{models}:names';

export const fileKey = (id: string) => `carryover:{${id}}:file`;
/** On the node of the file: a model is pinned only while it is there. */
export const pinsKey = (id: string) => `carryover:{${id}}:pins`;

export class RedisModels implements ModelStore {
  readonly #link: RedisConnection;
  /** By how much this process has moved the revision: of that it need not be told. */
  #ownMoves = 0;

  constructor(link: RedisConnection) {
    this.#link = link;
  }

  /** Every chunk has the time limit of a call: a put ends when Redis is silent for so long. */
  async put(model: StoredModel): Promise<void> {
    const { id, isKept } = model;
    for (;;) {
      const there = await this.#fileOf(id);
      if (there && isKept) await this.#keep(id);
      const [at, incarnation] = there ?? (await this.#upload(model)) ?? [];
      if (!at || !incarnation) continue;
      const keys = [REVISION, MODELS];
      const args = [id, incarnation, at];
      const moved = await this.#changeList(LIST_MODEL, keys, args, this.#link.deadline());
      // A file that was removed in the meantime has been taken off the list before it was put on; one
      // that was there may have been removed before it was kept.
      if (moved === 0 && !(there && isKept)) return;
      const [, now] = (await this.#fileOf(id)) ?? [];
      if (now?.equals(incarnation)) return;
      await this.#unlist(id, [String(incarnation)], this.#link.deadline());
    }
  }

  async get(id: string): Promise<StoredModel | undefined> {
    const listed = await this.#listedIncarnation(id, this.#link.deadline());
    const [at, incarnation, count] = (await this.#fileOf(id)) ?? [];
    const kept = await this.#link.read('hget', [fileKey(id), 'k'], this.#link.deadline());
    const chunks: Buffer[] = [];
    for (let k = 0; k < Number(count); k++) {
      const fields = [fileKey(id), 'inc', String(k)];
      const reply = await this.#link.read('hmget', fields, this.#link.deadline());
      const [now, chunk] = reply as (Buffer | null)[];
      // Removed, and put again by another perhaps: the whole file again, or nothing.
      if (!chunk || !now?.equals(incarnation!)) return this.get(id);
      chunks.push(chunk);
    }
    const isKept = (kept as Buffer | null)?.toString() !== '0';
    if (at) return { id, file: Buffer.concat(chunks), createdAtMs: Number(at), isKept };
    await this.#unlist(id, [listed], this.#link.deadline());
    return undefined;
  }

  async remove(id: string): Promise<boolean> {
    return this.#remove(REMOVE_MODEL, id);
  }

  async collect(id: string): Promise<boolean> {
    return this.#remove(COLLECT_MODEL, id);
  }

  async #remove(script: Script, id: string): Promise<boolean> {
    const deadlineMs = this.#link.deadline();
    // Read first: an entry that comes later is that of a new file.
    const listed = await this.#listedIncarnation(id, deadlineMs);
    const keys = [fileKey(id), pinsKey(id)];
    const { reply } = await this.#link.run(script, keys, [], deadlineMs);
    if (reply === 0) return false;
    await this.#unlist(id, [listed, String(reply)], deadlineMs);
    return true;
  }

  async ids(): Promise<string[]> {
    const models = pairs(await this.#link.read('hgetall', [MODELS], this.#link.deadline()));
    return models
      .map(([id, entry]) => ({ id, numbers: entry.split(':').slice(1).map(Number) }))
      .toSorted(({ numbers: a }, { numbers: b }) => a[0]! - b[0]! || a[1]! - b[1]!)
      .map(({ id }) => id);
  }

  async point(name: string, id: string): Promise<void> {
    // Whoever has removed the file is about to take the entry off the list, and with it all names.
    if (!(await this.#keep(id))) throw modelNotFound(id);
    const args = [name, id];
    const keys = [REVISION, MODELS, NAMES];
    const moved = await this.#changeList(POINT, keys, args, this.#link.deadline());
    if (moved < 0) throw modelNotFound(id);
  }

  async names(): Promise<Map<string, string>> {
    const names = pairs(await this.#link.read('hgetall', [NAMES], this.#link.deadline()));
    const ordered = names
      .map(([name, entry]) => ({ name, order: Number.parseInt(entry, 10), entry }))
      .toSorted((a, b) => a.order - b.order);
    return new Map(ordered.map(({ name, entry }) => [name, entry.slice(entry.indexOf(':') + 1)]));
  }

  async revision(): Promise<number> {
    const reply = await this.#link.read('get', [REVISION], this.#link.deadline());
    return Number(reply ?? 0) - this.#ownMoves;
  }

  /** False if its file is not there. */
  async #keep(id: string): Promise<boolean> {
    const { reply } = await this.#link.run(KEEP_MODEL, [fileKey(id)], [], this.#link.deadline());
    return reply === 1;
  }

  /** createdAtMs, incarnation and number of chunks. */
  async #fileOf(id: string): Promise<Buffer[] | undefined> {
    const fields = [fileKey(id), 'at', 'inc', 'n'];
    const reply = await this.#link.read('hmget', fields, this.#link.deadline());
    const known = (reply as (Buffer | null)[]).filter((value) => value !== null);
    return known.length === 3 ? known : undefined;
  }

  /** createdAtMs and incarnation of what is there then; undefined if the upload has got lost. */
  async #upload({ id, file: bytes, createdAtMs, isKept }: StoredModel): Promise<Buffer[] | undefined> {
    const file = toBuffer(bytes);
    const incarnation = randomBytes(9).toString('base64url');
    const upload = `carryover:{${id}}:upload-${incarnation}`;
    const count = Math.ceil(file.length / CHUNK_BYTES);
    for (let k = 0; k < count; k++) {
      const chunk = file.subarray(k * CHUNK_BYTES, (k + 1) * CHUNK_BYTES);
      const args = [String(k), chunk, UPLOAD_LIFETIME_MS];
      await this.#link.run(UPLOAD, [upload], args, this.#link.deadline());
    }
    const args = [String(count), String(createdAtMs), incarnation, isKept ? '1' : '0'];
    const keys = [fileKey(id), upload];
    const { reply } = await this.#link.run(PUT_MODEL, keys, args, this.#link.deadline());
    return reply === 0 ? undefined : (reply as Buffer[]);
  }

  async #listedIncarnation(id: string, deadlineMs: DeadlineMs): Promise<string> {
    const entry = (await this.#link.read('hget', [MODELS, id], deadlineMs)) as Buffer | null;
    return entry === null ? '' : String(entry).split(':', 1)[0]!;
  }

  async #unlist(id: string, incarnations: readonly string[], deadlineMs: DeadlineMs): Promise<void> {
    const known = incarnations.filter(Boolean);
    if (known.length === 0) return;
    await this.#changeList(UNLIST_MODEL, [REVISION, MODELS, NAMES], [id, ...known], deadlineMs);
  }

  async #changeList(
    script: Script,
    keys: readonly string[],
    args: readonly Argument[],
    deadlineMs: DeadlineMs,
  ): Promise<number> {
    const random = String(randomInt(RANDOMS));
    const { reply } = await this.#link.run(script, keys, [random, ...args], deadlineMs);
    const moved = reply as number;
    this.#ownMoves += Math.max(0, moved);
    return moved;
  }
}

/** A view of the same bytes. */
export function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** HGETALL, whose reply ioredis makes an object. */
function pairs(reply: unknown): [string, string][] {
  return Object.entries(reply as Record<string, Buffer>).map(([key, value]) => [key, String(value)]);
}
