// How the ids of sessions are spread over the nodes of a cluster, and what stands in their index.

// ids and due are spread over 16 nodes at most, by the first character of an id, so that the shards
// follow one another in the order of the ids. Ids begin with any of 64 characters: four a shard.
const FIRSTS = '-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz'.split('');
const FIRSTS_PER_SHARD = 4;
/** In the order of the ids that they have. */
export const INDEXES = Array.from({ length: FIRSTS.length / FIRSTS_PER_SHARD }, (_, k) => ({
  due: `carryover:{index-${k}}:due`,
  ids: `carryover:{index-${k}}:ids`,
}));

/** The index that has this id. */
export function indexOf(id: string): (typeof INDEXES)[number] {
  const place = FIRSTS.findLastIndex((first) => first <= id.slice(0, 1));
  return INDEXES[Math.floor(Math.max(0, place) / FIRSTS_PER_SHARD)]!;
}

/** What stands in ids: sorted as the ids alone are, for \0 comes before everything. */
export const entryOf = (id: string, modelId: string) => `${id}\0${modelId}`;

/** The reverse of entryOf(). */
export function partsOfEntry(entry: Buffer): { readonly id: string; readonly modelId: string } {
  const [id, modelId] = String(entry).split('\0', 2) as [string, string];
  return { id, modelId };
}

/** The end of a range of entries: beyond all of this id. */
export const upTo = (id: string) => Buffer.from(`(${id}\0\xff`, 'latin1');
