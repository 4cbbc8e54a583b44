// How many processor cores this process may use at a time. os.availableParallelism() knows affinity and
// quotas of whole cores; a quota below one core it ignores, so that one is read here.
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';

/** Whole cores, at least 1. */
export function coresAvailable(): number {
  return Math.max(1, Math.floor(Math.min(availableParallelism(), cpuQuota())));
}

/**
 * Cores that the control groups of this process allow, which may be a fraction; Infinity if there is no
 * limit or no control group. https://docs.kernel.org/admin-guide/cgroup-v2.html#cpu-interface-files
 *
 * @param root of the file system
 */
export function cpuQuota(root = '/'): number {
  // `0::/path` in version 2, `4:cpu,cpuacct:/path` in version 1.
  const groups = read(join(root, 'proc/self/cgroup'))?.matchAll(/^\d+:([^:]*):(\/.*)$/gm) ?? [];
  const quotas = [...groups].flatMap(([, controllers = '', path = '']) => {
    if (controllers !== '' && !controllers.split(',').includes('cpu')) return [];
    const mount = join(root, 'sys/fs/cgroup', controllers);
    const quotaOf = controllers === '' ? quotaOfVersion2 : quotaOfVersion1;
    return withParents(path).map((group) => quotaOf(join(mount, group)));
  });
  return Math.min(...quotas);
}

/** A group may have less than its own quota: the groups above it have theirs. */
function withParents(path: string): string[] {
  return path === '/' ? [path] : [path, ...withParents(dirname(path))];
}

/** `max 100000` or, in microseconds, `quota period`. */
function quotaOfVersion2(group: string): number {
  const [, quota, period] = /^(\d+) (\d+)/.exec(read(join(group, 'cpu.max')) ?? '') ?? [];
  return quota === undefined ? Infinity : Number(quota) / Number(period);
}

/** The same in two files; -1 is no limit. */
function quotaOfVersion1(group: string): number {
  const quota = Number(read(join(group, 'cpu.cfs_quota_us')));
  return quota > 0 ? quota / Number(read(join(group, 'cpu.cfs_period_us'))) : Infinity;
}

function read(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
