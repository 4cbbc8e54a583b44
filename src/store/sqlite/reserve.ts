// A file beside the database that reserves disk space for deletions. SQLite cannot delete on a full disk: a
// deletion is written to the WAL first, and the WAL must be copied into the database file, which may have to
// grow for it, before the space of the WAL is used again. So the reserve, a file of random bytes, is
// deleted when a deletion finds the disk full, and nothing else may grow until it could be written again.
//
// A crash may leave the file whole, truncated or absent; the next start writes it if there is space.
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  rmSync,
  statSync,
  statfsSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { sqliteCode } from './open.ts';

const MiB = 2 ** 20;

/**
 * A checkpoint is made when the WAL has 4 MiB, so the file grows by that at most, unless the last transaction was
 * larger; the rest is for the WAL of the deletions, about 40 KiB each.
 */
const RESERVE_BYTES = 6 * MiB;

/** Must be free in addition for the reserve to be written, so that it is not released again at once. */
const MARGIN_BYTES = MiB;

/** Must be free on a disk that was full before anything may grow again. */
export const FREE_BYTES_NEEDED = RESERVE_BYTES + MARGIN_BYTES;

/** stat() counts blocks of this size, whatever the block size of the file system. */
const STAT_BLOCK_BYTES = 512;

/** A change is refused although SQLite has not found the disk full: the reserve, or space for it, is missing. */
export class NoSpaceError extends Error {}

/** Whether the disk, or the database at its limit, has no space for what was to be written. */
export function isFull(error: unknown): boolean {
  return error instanceof NoSpaceError || sqliteCode(error) === 'SQLITE_FULL';
}

export class Reserve {
  readonly #path: string;
  #isHeld: boolean;

  /** @param path of the database file */
  constructor(path: string) {
    this.#path = `${path}-reserve`;
    this.#isHeld = isIntact(this.#path);
  }

  /** Whether the space is reserved. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** Makes the space available. @throws an error of the system */
  release(): void {
    this.#isHeld = false;
    rmSync(this.#path, { force: true });
  }

  /**
   * Reserves the space again.
   *
   * @returns whether it is reserved now; if not, the disk is too full
   * @throws an error of the system, unless it says that the disk is full
   */
  take(): boolean {
    // Checked first, so that the last free bytes of the disk are not used up only to find that they are too few.
    if (this.#isHeld || freeBytes(dirname(this.#path)) < FREE_BYTES_NEEDED) return this.#isHeld;
    try {
      writeReserve(this.#path);
      this.#isHeld = true;
    } catch (error) {
      rmSync(this.#path, { force: true });
      if (!isOutOfSpace(error)) throw error;
    }
    return this.#isHeld;
  }
}

/** Whether the file has all its bytes in blocks of the disk: a file that was copied may have holes instead. */
function isIntact(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat || stat.size < RESERVE_BYTES || stat.blocks * STAT_BLOCK_BYTES < RESERVE_BYTES) return false;
  // A crash has left the margin in it.
  if (stat.size > RESERVE_BYTES) truncateSync(path, RESERVE_BYTES);
  return true;
}

/** Writes random bytes, as a file system that compresses would allocate no blocks for zeros. */
function writeReserve(path: string): void {
  const file = openSync(path, 'w', 0o600);
  try {
    const bytes = randomBytes(MARGIN_BYTES);
    for (let end = 0; end < FREE_BYTES_NEEDED; end += bytes.length) writeFileSync(file, bytes);
    fsyncSync(file);
    ftruncateSync(file, RESERVE_BYTES);
  } finally {
    closeSync(file);
  }
}

/** The bytes that this user may still write; Infinity for a file system that reports a size of 0 blocks. */
export function freeBytes(folder: string): number {
  const { blocks, bfree, bavail, bsize } = statfsSync(folder);
  const isRoot = process.getuid?.() === 0;
  return blocks === 0 ? Infinity : (isRoot ? bfree : bavail) * bsize;
}

/** Whether an error of the system says that the disk is full. */
export function isOutOfSpace(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT';
}
