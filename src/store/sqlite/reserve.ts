// Room on the disk that is kept for what makes room. SQLite cannot delete on a full disk: what is deleted is
// written to the log first, and the log must be copied into the file, which may have to grow for it, before
// its own room is used again. So a file of random bytes lies beside the database; it is deleted when a
// deletion finds the disk full, and nothing else may grow until it could be written again.
//
// A crash at any moment leaves it there, cut short, or away: the next start writes it if there is room.
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
 * The log is copied back when it has 4 MiB, so the file grows by that at most, unless the last transaction was
 * larger; the rest is for the log of the deletions, some 40 KiB each.
 */
const RESERVE_BYTES = 6 * MiB;

/** That much more must be free for it to be taken, so that it is not given up again at once. */
const MARGIN_BYTES = MiB;

/** What must be free on a disk that was full before anything may grow again. */
export const FREE_BYTES_NEEDED = RESERVE_BYTES + MARGIN_BYTES;

/** stat() counts blocks of this size, whatever the file system has. */
const BLOCK_BYTES = 512;

/** Nothing may grow, for there is no reserve. */
export class NoRoom extends Error {}

export function isFull(error: unknown): boolean {
  return error instanceof NoRoom || sqliteCode(error) === 'SQLITE_FULL';
}

export class Reserve {
  readonly #path: string;
  #isHeld: boolean;

  /** @param path of the database file */
  constructor(path: string) {
    this.#path = `${path}-reserve`;
    this.#isHeld = isWhole(this.#path);
  }

  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** @throws an error of the system */
  release(): void {
    this.#isHeld = false;
    rmSync(this.#path, { force: true });
  }

  /**
   * @returns whether it is held now; if not, the disk is too full
   * @throws an error of the system: of another kind
   */
  take(): boolean {
    // Nobody else's last bytes are taken just to see that they are too few.
    if (this.#isHeld || freeBytes(dirname(this.#path)) < FREE_BYTES_NEEDED) return this.#isHeld;
    try {
      write(this.#path);
      this.#isHeld = true;
    } catch (error) {
      rmSync(this.#path, { force: true });
      if (!lacksRoom(error)) throw error;
    }
    return this.#isHeld;
  }
}

/** A file that was copied may have holes instead of blocks; one with the margin is from a crash. */
function isWhole(path: string): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat || stat.size < RESERVE_BYTES || stat.blocks * BLOCK_BYTES < RESERVE_BYTES) return false;
  if (stat.size > RESERVE_BYTES) truncateSync(path, RESERVE_BYTES);
  return true;
}

/** Random bytes, for a file system that compresses would give zeros no blocks. */
function write(path: string): void {
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

/** A file system without a size of its own says 0 blocks. */
export function freeBytes(folder: string): number {
  const { blocks, bfree, bavail, bsize } = statfsSync(folder);
  const isRoot = process.getuid?.() === 0;
  return blocks === 0 ? Infinity : (isRoot ? bfree : bavail) * bsize;
}

function lacksRoom(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOSPC' || code === 'EDQUOT';
}
