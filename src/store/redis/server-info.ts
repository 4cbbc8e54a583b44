// What a Redis server says of itself (INFO and CONFIG), and what follows for the store: whether it can be used,
// whether it may evict sessions, and which failures its answers survive.

const VERSION_MIN = [6, 2] as const;

/** Of a server, or of a node of a cluster. Undefined is what the user in STORE_URL is not permitted to ask. */
export interface ServerInfo {
  readonly version: string | undefined;
  readonly isReplica: boolean;
  readonly isClusterNode: boolean;
  readonly maxmemoryPolicy: string | undefined;
  readonly hasAof: boolean | undefined;
  readonly appendfsync: string | undefined;
}

/**
 * @param info the reply to INFO, empty if it is not permitted
 * @param appendfsync the reply to CONFIG GET appendfsync, undefined if it is not permitted
 */
export function parseServerInfo(info: string, appendfsync: string | undefined): ServerInfo {
  const field = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1];
  const aof = field('aof_enabled');
  return {
    version: field('redis_version'),
    isReplica: field('role') === 'slave',
    isClusterNode: field('cluster_enabled') === '1' || field('redis_mode') === 'cluster',
    maxmemoryPolicy: field('maxmemory_policy'),
    hasAof: aof === undefined ? undefined : aof === '1',
    appendfsync,
  };
}

/** Why these servers cannot be used at all, as the predicate of a sentence; undefined if they can. */
export function incompatibilityOf(infos: readonly ServerInfo[], isClusterWanted: boolean): string | undefined {
  for (const { version, isClusterNode } of infos) {
    const [major = 0, minor = 0] = version?.split('.').map(Number) ?? VERSION_MIN;
    if (major < VERSION_MIN[0] || (major === VERSION_MIN[0] && minor < VERSION_MIN[1])) {
      return `is version ${version}, expected ${VERSION_MIN.join('.')} or newer`;
    }
    if (isClusterNode && !isClusterWanted) {
      return 'is part of a cluster: add ?cluster=true to STORE_URL';
    }
  }
  return undefined;
}

/** Why sessions may be evicted, in a sentence without its full stop; undefined if they are not. */
export function evictionOf(infos: readonly ServerInfo[]): string | undefined {
  const evicting = infos.find(({ maxmemoryPolicy = 'noeviction' }) => {
    return maxmemoryPolicy !== 'noeviction';
  });
  if (!evicting) return undefined;
  const { maxmemoryPolicy } = evicting;
  return `Redis may evict sessions: maxmemory-policy is ${maxmemoryPolicy}, expected noeviction`;
}

/** Which failures an answered change survives, by the node with the weakest configuration. */
export function durabilityOf(infos: readonly ServerInfo[]): string {
  if (infos.some((info) => info.hasAof === false)) {
    return 'a crash of the server loses what came after its last snapshot (appendonly is off)';
  }
  if (infos.some((info) => info.hasAof === undefined || info.appendfsync === undefined)) {
    return 'what survives a crash of the server is not known (CONFIG is not permitted)';
  }
  if (infos.some((info) => info.appendfsync === 'no')) {
    return 'a crash of its machine loses what was not on disk yet (appendfsync no)';
  }
  if (infos.some((info) => info.appendfsync === 'everysec')) {
    return 'a crash of its machine may lose the last second (appendfsync everysec)';
  }
  return 'answers survive a crash (appendfsync always)';
}
