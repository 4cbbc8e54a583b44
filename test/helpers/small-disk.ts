// A disk that is soon full, for tests that may mount one: describeWith('mount', …).
import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { appendFileSync, mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';

/** The folder where 24 MiB of memory are mounted while the group that asks is running. */
export function useSmallDisk(): string {
  const folder = join(tmpdir(), `carryover-small-${randomUUID()}`);
  beforeAll(() => {
    mkdirSync(folder);
    const args = ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', folder];
    const { status, stderr } = spawnSync('mount', args, { encoding: 'utf8' });
    expect(status, stderr).toBe(0);
  });
  afterAll(() => {
    spawnSync('umount', ['-l', folder]);
    rmSync(folder, { recursive: true });
  });
  return folder;
}

/** Writes a file until nothing more can be written. @returns its path */
export function fillDisk(folder: string): string {
  const path = join(folder, 'everything-else');
  // A block that does not fit may be written in part, or not at all.
  for (const bytes of [2 ** 20, 4_096]) while (hasSpace(path, bytes));
  return path;
}

function hasSpace(path: string, bytes: number): boolean {
  try {
    appendFileSync(path, Buffer.alloc(bytes));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    return false;
  }
}
