// The models in Redis: their files, the pins of the sessions that use them, and the list of models and names.
//
// The list is on one node and has a revision that every change of it increases. A model is listed after its
// file was stored, and removed from the list after its file was removed. A crash in between leaves a file
// that is not listed, which the next put() lists, or an entry without a file, which get() and remove()
// remove. An incarnation distinguishes a file from one that is put later under the same id.
import { randomBytes, randomInt } from 'node:crypto';
import { modelNotFound } from '../model-not-found.ts';
import type { ModelStore, StoredModel } from '../store.ts';
import { type Argument, toBuffer } from './client.ts';
import type { RedisConnection } from './connection.ts';
import type { DeadlineMs } from './connection-state.ts';
import type { RedisKeys } from './keys.ts';
import {
  COLLECT_MODEL,
  KEEP_MODEL,
  LIST_MODEL,
  POINT,
  PUT_MODEL,
  RANDOMS,
  REMOVE_MODEL,
  UNKEEP_MODEL,
  UNLIST_MODEL,
  UNPOINT,
  UPLOAD,
} from './model-scripts.ts';
import type { Script } from './script.ts';

/**
 * A file is sent in chunks of this size. Between two of them Redis serves other requests and replies: a connection
 * without a reply for long is considered lost (client.ts).
 */
const CHUNK_BYTES = 1024 * 1024;
/** After which Redis erases an upload that was given up. */
const UPLOAD_TTL_MS = String(3_600_000);

/** What is stored of a model besides its chunks, as Redis gives it. */
interface FileHead {
  readonly createdAtMs: Buffer;
  readonly incarnation: Buffer;
}

export class RedisModels implements ModelStore {
  readonly #connection: RedisConnection;
  readonly #keys: RedisKeys;
  /** By how much this process has increased the revision, which revision() does not count. */
  #ownIncrease = 0;

  constructor(connection: RedisConnection, keys: RedisKeys) {
    this.#connection = connection;
    this.#keys = keys;
  }

  /** Every chunk has the timeout of a call: a put fails when Redis does not answer in that time. */
  async put(model: StoredModel): Promise<void> {
    const { id, isKept } = model;
    for (;;) {
      const stored = await this.#fileHead(id);
      if (stored && isKept) await this.#keep(id);
      const file = stored ?? (await this.#upload(model));
      if (!file) continue;
      const args = [id, file.incarnation, file.createdAtMs];
      const increase = await this.#changeList(LIST_MODEL, [this.#keys.modelsRevision, this.#keys.models], args, this.#deadline());
      // The file may have been removed since: one that was new, and so removed from the list, before it was
      // put on it; one that was there, before it was kept.
      if (increase === 0 && !(stored && isKept)) return;
      const now = await this.#fileHead(id);
      if (now?.incarnation.equals(file.incarnation)) return;
      await this.#unlist(id, [String(file.incarnation)], this.#deadline());
    }
  }

  async get(id: string): Promise<StoredModel | undefined> {
    const listed = await this.#listedIncarnation(id, this.#deadline());
    const head = await this.#fileHead(id);
    const kept = await this.#connection.read('hget', [this.#keys.file(id), 'k'], this.#deadline());
    const chunks: Buffer[] = [];
    for (let k = 0; k < (head?.chunkCount ?? 0); k++) {
      const fields = [this.#keys.file(id), 'inc', String(k)];
      const reply = await this.#connection.read('hmget', fields, this.#deadline());
      const [incarnation, chunk] = reply as (Buffer | null)[];
      // The file was removed, and perhaps put again: it is read from the beginning.
      if (!chunk || !incarnation?.equals(head!.incarnation)) return this.get(id);
      chunks.push(chunk);
    }
    if (!head) {
      await this.#unlist(id, [listed], this.#deadline());
      return undefined;
    }
    const isKept = (kept as Buffer | null)?.toString() !== '0';
    return { id, file: Buffer.concat(chunks), createdAtMs: Number(head.createdAtMs), isKept };
  }

  async remove(id: string): Promise<boolean> {
    return this.#remove(REMOVE_MODEL, id);
  }

  async collect(id: string): Promise<boolean> {
    return this.#remove(COLLECT_MODEL, id);
  }

  async #remove(script: Script, id: string): Promise<boolean> {
    const deadlineMs = this.#deadline();
    // Read before the file is removed: an entry that is written later is of a new file.
    const listed = await this.#listedIncarnation(id, deadlineMs);
    const { reply } = await this.#connection.run(script, [this.#keys.file(id), this.#keys.pins(id)], [], deadlineMs);
    if (reply === 0) return false;
    await this.#unlist(id, [listed, String(reply)], deadlineMs);
    return true;
  }

  async ids(): Promise<string[]> {
    const models = entriesOf(await this.#connection.read('hgetall', [this.#keys.models], this.#deadline()));
    return models
      .map(([id, entry]) => ({ id, numbers: entry.split(':').slice(1).map(Number) }))
      .toSorted(({ numbers: a }, { numbers: b }) => a[0]! - b[0]! || a[1]! - b[1]!)
      .map(({ id }) => id);
  }

  async point(name: string, id: string): Promise<void> {
    // If the file is gone, whoever removed it is about to remove the model from the list with all its names. It is kept only
    // once it has the name: a model that is kept without one is the default tenant's.
    if (!(await this.#fileHead(id))) throw modelNotFound(id);
    const keys = [this.#keys.modelsRevision, this.#keys.models, this.#keys.names];
    const increase = await this.#changeList(POINT, keys, [name, id], this.#deadline());
    if (increase < 0) throw modelNotFound(id);
    // Another process may have taken away the last other name between the two calls.
    if (!(await this.#keep(id))) throw modelNotFound(id);
  }

  /**
   * The model is not kept while its names are looked at: a name that is given meanwhile either is seen, or keeps the model
   * afterwards.
   */
  async unpoint(id: string, names: readonly string[]): Promise<boolean> {
    await this.#connection.run(UNKEEP_MODEL, [this.#keys.file(id)], [], this.#deadline());
    const random = String(randomInt(RANDOMS));
    const keys = [this.#keys.modelsRevision, this.#keys.models, this.#keys.names];
    const { reply } = await this.#connection.run(UNPOINT, keys, [random, id, ...names], this.#deadline());
    const [increase, isNamed] = reply as [number, number];
    this.#ownIncrease += increase;
    if (isNamed === 1) await this.#keep(id);
    return isNamed === 1;
  }

  async names(): Promise<Map<string, string>> {
    const names = entriesOf(await this.#connection.read('hgetall', [this.#keys.names], this.#deadline()));
    const ordered = names
      .map(([name, entry]) => ({ name, order: Number.parseInt(entry, 10), entry }))
      .toSorted((a, b) => a.order - b.order);
    return new Map(ordered.map(({ name, entry }) => [name, entry.slice(entry.indexOf(':') + 1)]));
  }

  async revision(): Promise<number> {
    const reply = await this.#connection.read('get', [this.#keys.modelsRevision], this.#deadline());
    return Number(reply ?? 0) - this.#ownIncrease;
  }

  #deadline(): DeadlineMs {
    return this.#connection.deadline();
  }

  /** @returns whether the file is there */
  async #keep(id: string): Promise<boolean> {
    const { reply } = await this.#connection.run(KEEP_MODEL, [this.#keys.file(id)], [], this.#deadline());
    return reply === 1;
  }

  async #fileHead(id: string): Promise<(FileHead & { readonly chunkCount: number }) | undefined> {
    const fields = [this.#keys.file(id), 'at', 'inc', 'n'];
    const reply = await this.#connection.read('hmget', fields, this.#deadline());
    const [createdAtMs, incarnation, count] = reply as (Buffer | null)[];
    if (!createdAtMs || !incarnation || !count) return undefined;
    return { createdAtMs, incarnation, chunkCount: Number(count) };
  }

  /** @returns the file that is stored then; undefined if the upload was lost, as when it expired */
  async #upload({ id, file: bytes, createdAtMs, isKept }: StoredModel): Promise<FileHead | undefined> {
    const file = toBuffer(bytes);
    const newIncarnation = randomBytes(9).toString('base64url');
    const upload = this.#keys.upload(id, newIncarnation);
    const count = Math.ceil(file.length / CHUNK_BYTES);
    for (let k = 0; k < count; k++) {
      const chunk = file.subarray(k * CHUNK_BYTES, (k + 1) * CHUNK_BYTES);
      const args = [String(k), chunk, UPLOAD_TTL_MS];
      await this.#connection.run(UPLOAD, [upload], args, this.#deadline());
    }
    const args = [String(count), String(createdAtMs), newIncarnation, isKept ? '1' : '0'];
    const { reply } = await this.#connection.run(PUT_MODEL, [this.#keys.file(id), upload], args, this.#deadline());
    const [at, incarnation] = reply === 0 ? [] : (reply as (Buffer | null)[]);
    return at && incarnation ? { createdAtMs: at, incarnation } : undefined;
  }

  /** '' if the model is not listed. */
  async #listedIncarnation(id: string, deadlineMs: DeadlineMs): Promise<string> {
    const entry = (await this.#connection.read('hget', [this.#keys.models, id], deadlineMs)) as Buffer | null;
    return entry === null ? '' : String(entry).split(':', 1)[0]!;
  }

  async #unlist(id: string, incarnations: readonly string[], deadlineMs: DeadlineMs): Promise<void> {
    const known = incarnations.filter(Boolean);
    if (known.length === 0) return;
    const keys = [this.#keys.modelsRevision, this.#keys.models, this.#keys.names];
    await this.#changeList(UNLIST_MODEL, keys, [id, ...known], deadlineMs);
  }

  /** @returns by how much the revision was increased, or -1 if the script says that there is no such model */
  async #changeList(
    script: Script,
    keys: readonly string[],
    args: readonly Argument[],
    deadlineMs: DeadlineMs,
  ): Promise<number> {
    const random = String(randomInt(RANDOMS));
    const { reply } = await this.#connection.run(script, keys, [random, ...args], deadlineMs);
    const increase = reply as number;
    this.#ownIncrease += Math.max(0, increase);
    return increase;
  }
}

/** @param reply to HGETALL, which ioredis turns into an object */
function entriesOf(reply: unknown): [string, string][] {
  return Object.entries(reply as Record<string, Buffer>).map(([key, value]) => [key, String(value)]);
}
