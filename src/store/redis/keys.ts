// The keys of everything that is stored in Redis. What is in braces is the hash tag: keys with the same one
// are on the same node of a cluster, so that one script can use them together.

/** The hash of a record (see scripts.ts). */
export const recordKey = (id: string) => `carryover:{${id}}:s`;

/** The secret of the store. */
export const SECRET_KEY = 'carryover:secret';

/** The hash of a model's file: chunks 0, 1, …, their number n, createdAtMs at, incarnation inc, k. */
export const fileKey = (modelId: string) => `carryover:{${modelId}}:file`;
/** A file that is being uploaded. */
export const uploadKey = (modelId: string, incarnation: string) => `carryover:{${modelId}}:upload-${incarnation}`;
/** The set of the sessions that pin a model; beside the file, as a model is pinned only while it is there. */
export const pinsKey = (modelId: string) => `carryover:{${modelId}}:pins`;

/** The revision of the list of models (see scripts.ts). */
export const MODELS_REVISION_KEY = 'carryover:{models}:revision';
/** Hash: model id → incarnation:createdAtMs:order */
export const MODELS_KEY = 'carryover:{models}:ids';
/** Hash: name → order:model id */
export const NAMES_KEY = 'carryover:{models}:names';

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

/** In the order of the ids that they hold. */
export const INDEX_SHARDS: readonly IndexShard[] = Array.from(
  { length: FIRST_CHARACTERS.length / CHARACTERS_PER_SHARD },
  (_, k) => ({
    due: `carryover:{index-${k}}:due`,
    ids: `carryover:{index-${k}}:ids`,
  }),
);

/** The shard that holds this id. */
export function shardOf(id: string): IndexShard {
  const position = FIRST_CHARACTERS.findLastIndex((first) => first <= id.slice(0, 1));
  return INDEX_SHARDS[Math.floor(Math.max(0, position) / CHARACTERS_PER_SHARD)]!;
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
