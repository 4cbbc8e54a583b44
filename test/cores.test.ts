// The quota of cores is read from the files of control groups, laid out here as Linux does.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { coresAvailable, cpuQuota } from '../src/cores.ts';

/** A root folder with these files. */
function rootWith(files: Record<string, string>): string {
  const root = mkdtempSync(join(tmpdir(), 'carryover-cores-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  return root;
}

test.each<[string, number, Record<string, string>]>([
  [
    'version 2, in a container',
    0.5,
    { 'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/cpu.max': '50000 100000\n' },
  ],
  [
    'version 2, without a limit',
    Infinity,
    { 'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/cpu.max': 'max 100000\n' },
  ],
  [
    'version 2, a limit of a group above',
    1.5,
    {
      'proc/self/cgroup': '0::/pod/service\n',
      'sys/fs/cgroup/pod/cpu.max': '150000 100000\n',
      'sys/fs/cgroup/pod/service/cpu.max': '400000 100000\n',
    },
  ],
  [
    'version 1, in a container: the path is the one of the host',
    0.25,
    {
      'proc/self/cgroup': '5:memory:/docker/1\n4:cpu,cpuacct:/docker/1\n1:name=systemd:/\n0::/\n',
      'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '25000\n',
      'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000\n',
    },
  ],
  [
    'version 1, without a limit',
    Infinity,
    {
      'proc/self/cgroup': '4:cpu:/\n',
      'sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
      'sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
    },
  ],
  ['not Linux', Infinity, {}],
])('the CPU quota is right: %s, %d cores', (_, quota, files) => {
  expect(cpuQuota(rootWith(files))).toBe(quota);
});

test('at least one core is there, and no more than the system has', () => {
  expect(coresAvailable()).toBeGreaterThanOrEqual(1);
  expect(coresAvailable()).toBeLessThanOrEqual(availableParallelism());
});
