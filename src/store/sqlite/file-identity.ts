// Which file a path names. A database that was deleted or replaced under the running process is still open, but
// what is written to it is lost.
import { statSync } from 'node:fs';

export interface FileIdentity {
  readonly device: bigint;
  readonly inode: bigint;
}

/** Undefined if there is no file. @throws an error of the system */
export function identityOf(path: string): FileIdentity | undefined {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat && { device: stat.dev, inode: stat.ino };
}

export function isSameFile(one: FileIdentity | undefined, other: FileIdentity | undefined): boolean {
  return one?.inode === other?.inode && one?.device === other?.device;
}
