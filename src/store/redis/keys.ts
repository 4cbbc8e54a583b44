// The keys of everything that is stored in Redis. What is in braces is the hash tag: keys with the same one
// are on the same node of a cluster, so that one script can use them together.

/** The prefix of all keys, unless REDIS_PREFIX says otherwise. */
export const PREFIX = 'carryover';

// The index is in 16 shards, on 16 nodes at most. An id belongs to a shard by its first character, one of
// 64, of which each shard has four; so the shards are in the order of the ids.
const FIRST_CHARACTERS = '-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz'.split('');
const CHARACTERS_PER_SHARD = 4;

export interface IndexShard {
  /** Sorted set: ids by the time when they are due, in ms. */
  readonly due: string;
  /** Sorted set of entries (entryOf), all with score 0, so in the order of their bytes. */
  readonly ids: string;
}

/** The keys with one prefix: those with another one are another store on the same server. */
export class RedisKeys {
  readonly #prefix: string;
  /** The secret of the store. */
  readonly secret: string;
  /** The revision of the list of models (see model-scripts.ts). */
  readonly modelsRevision: string;
  /** Hash: model id → incarnation:createdAtMs:order */
  readonly models: string;
  /** Hash: name → order:model id */
  readonly names: string;
  /** In the order of the ids that they hold. */
  readonly indexShards: readonly IndexShard[];

  constructor(prefix: string) {
    this.#prefix = prefix;
    this.secret = `${prefix}:secret`;
    this.modelsRevision = `${prefix}:{models}:revision`;
    this.models = `${prefix}:{models}:ids`;
    this.names = `${prefix}:{models}:names`;
    this.indexShards = Array.from({ length: FIRST_CHARACTERS.length / CHARACTERS_PER_SHARD }, (_, k) => ({
      due: `${prefix}:{index-${k}}:due`,
      ids: `${prefix}:{index-${k}}:ids`,
    }));
  }

  /** The hash of a record (see record-scripts.ts). */
  record(id: string): string {
    return `${this.#prefix}:{${id}}:s`;
  }

  /** The hash of a model's file: chunks 0, 1, …, their number n, createdAtMs at, incarnation inc, k. */
  file(modelId: string): string {
    return `${this.#prefix}:{${modelId}}:file`;
  }

  /** A file that is being uploaded. */
  upload(modelId: string, incarnation: string): string {
    return `${this.#prefix}:{${modelId}}:upload-${incarnation}`;
  }

  /** The set of the sessions that pin a model; beside the file, as a model is pinned only while it is there. */
  pins(modelId: string): string {
    return `${this.#prefix}:{${modelId}}:pins`;
  }

  /** The hash of a token bucket. */
  rate(name: string): string {
    return `${this.#prefix}:{rate:${name}}`;
  }

  /** A key on the node of another key, for what is written to find out which replicas have it (confirmations.ts). */
  beside(key: string): string {
    return `${this.#prefix}:{${/\{(.+?)\}/.exec(key)?.[1] ?? key}}:confirm`;
  }

  /** The shard that holds this id. */
  shardOf(id: string): IndexShard {
    const position = FIRST_CHARACTERS.findLastIndex((first) => first <= id.slice(0, 1));
    return this.indexShards[Math.floor(Math.max(0, position) / CHARACTERS_PER_SHARD)]!;
  }
}

/** A member of `ids`. Entries are in the order of the ids, for no character sorts below \0. */
export const entryOf = (id: string, modelId: string) => `${id}\0${modelId}`;

/** The reverse of entryOf(). */
export function parseEntry(entry: Buffer): { readonly id: string; readonly modelId: string } {
  const [id, modelId] = String(entry).split('\0', 2) as [string, string];
  return { id, modelId };
}

/** For ZRANGEBYLEX: the bound before all entries of an id. */
export const fromEntriesOf = (id: string) => Buffer.from(`[${id}\0`);

/** For ZRANGEBYLEX: the bound after all entries of an id. */
export const afterEntriesOf = (id: string) => Buffer.from(`(${id}\0\xff`, 'latin1');
