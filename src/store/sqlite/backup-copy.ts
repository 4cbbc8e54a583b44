// Copies the open database into another file while it is written: SQLite's online backup, which also copies again what
// changes behind the copy. Steps of a bounded number of pages run between the transactions of the thread.
// https://www.sqlite.org/backup.html
import { closeSync, fdatasyncSync, openSync } from 'node:fs';
import { oneLine } from './failures.ts';
import type { Failure } from './messages.ts';
import type { Connection } from './open.ts';
import { isFull, isOutOfSpace } from './reserve.ts';

/**
 * Pages of 4 KiB in a step, which is synced at once. Without that the last step, which ends with a sync, would wait for
 * all of the copy to reach the disk, and the calls behind it as well.
 */
const STEP_PAGES = 128;

/**
 * Resolves when the copy is complete and on the disk. It has all transactions that were committed when it was called,
 * and whole transactions of those committed meanwhile.
 *
 * @param path of an existing empty file
 * @throws an error of SQLite or of the system; TypeError if the connection is closed meanwhile
 */
export async function copyInSteps(connection: Connection, path: string): Promise<void> {
  const file = openSync(path, 'r+');
  try {
    const progress = () => {
      fdatasyncSync(file);
      return STEP_PAGES;
    };
    await connection.backup(path, { progress });
    fdatasyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** What the error of a copy means for who wanted it. */
export function copyFailure(error: unknown): Failure {
  if (isFull(error) || isOutOfSpace(error)) {
    const detail = 'The disk of the backup has no space for a copy of the session store.';
    return { code: 'store_full', detail, applied: 'no' };
  }
  const detail = `The session store could not be copied (${oneLine(error)}).`;
  return { code: 'store_unavailable', detail, applied: 'no' };
}
