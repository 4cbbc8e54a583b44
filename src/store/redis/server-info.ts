// What a Redis server says of itself, and what follows for the store: whether it can be used, whether it
// may throw sessions away, and what its answers survive.

const VERSION_MIN = [6, 2] as const;

/** What a server, or a node of a cluster, says of itself; undefined where it may not be asked. */
export interface ServerInfo {
  readonly version: string | undefined;
  readonly isReplica: boolean;
  readonly isClusterNode: boolean;
  readonly maxmemoryPolicy: string | undefined;
  readonly hasAof: boolean | undefined;
  readonly appendfsync: string | undefined;
}

/** @param info the text of INFO · @param appendfsync what CONFIG GET answers, if it is permitted */
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

/** Why this server cannot be used at all. */
export function incompatibilityOf(all: readonly ServerInfo[], isClusterWanted: boolean): string | undefined {
  for (const { version, isClusterNode } of all) {
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

/** Why sessions may vanish by themselves. */
export function evictionOf(all: readonly ServerInfo[]): string | undefined {
  const evicting = all.find(({ maxmemoryPolicy = 'noeviction' }) => {
    return maxmemoryPolicy !== 'noeviction';
  });
  if (!evicting) return undefined;
  const { maxmemoryPolicy } = evicting;
  return `Redis may evict sessions: maxmemory-policy is ${maxmemoryPolicy}, expected noeviction`;
}

/** What answers survive, by the node that promises least. */
export function durabilityOf(all: readonly ServerInfo[]): string {
  if (all.some((facts) => facts.hasAof === false)) {
    return 'a crash of the server loses what came after its last snapshot (appendonly is off)';
  }
  if (all.some((facts) => facts.hasAof === undefined || facts.appendfsync === undefined)) {
    return 'what survives a crash of the server is not known (CONFIG is not permitted)';
  }
  if (all.some((facts) => facts.appendfsync === 'no')) {
    return 'a crash of its machine loses what was not on disk yet (appendfsync no)';
  }
  if (all.some((facts) => facts.appendfsync === 'everysec')) {
    return 'a crash of its machine may lose the last second (appendfsync everysec)';
  }
  return 'answers survive a crash (appendfsync always)';
}
