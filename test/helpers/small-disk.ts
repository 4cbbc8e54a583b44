// A disk that is soon full, for tests that may mount one: describeWith('mount', …).
import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';

/** The folder where 12 MiB of memory are mounted while the group that asks is running. */
export function useSmallDisk(): string {
  const folder = join(tmpdir(), `carryover-small-${randomUUID()}`);
  beforeAll(() => {
    mkdirSync(folder);
    const args = ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', folder];
    const { status, stderr } = spawnSync('mount', args, { encoding: 'utf8' });
    expect(status, stderr).toBe(0);
  });
  afterAll(() => {
    spawnSync('umount', ['-l', folder]);
    rmSync(folder, { recursive: true });
  });
  return folder;
}
