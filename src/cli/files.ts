// Files that a command line names.
import { readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CliError } from './cli-error.ts';
import { EXIT } from './exit-codes.ts';

/** @throws CliError if there is no such file, or it cannot be read */
export async function readInput(path: string, what: string): Promise<Buffer<ArrayBuffer>> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new CliError(EXIT.noInput, `${what} ${JSON.stringify(path)} cannot be read: ${reasonOf(cause)}.`, { cause });
  }
}

/** @param replaces whether a file that exists is replaced · @throws CliError if it exists or cannot be written */
export async function writeOutput(path: string, bytes: Uint8Array, replaces: boolean): Promise<void> {
  try {
    await writeFile(path, bytes, { flag: replaces ? 'w' : 'wx' });
  } catch (cause) {
    throw new CliError(EXIT.cannotCreate, `${JSON.stringify(path)} cannot be written: ${writeReasonOf(path, cause)}.`, { cause });
  }
}

function writeReasonOf(path: string, cause: unknown): string {
  const { code } = cause as NodeJS.ErrnoException;
  if (code === 'EEXIST') return 'it exists. Give another name, or --force to replace it';
  // Where a file is created, it is the folder that is missing.
  if (code === 'ENOENT') return `there is no folder ${JSON.stringify(dirname(path))}. Create it, or give another name`;
  if (code === 'ENOTDIR') return `${JSON.stringify(dirname(path))} is no folder. Give another name`;
  return reasonOf(cause);
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'you have no right to',
  EISDIR: 'it is a folder',
  ENOSPC: 'the disk is full',
  EROFS: 'the file system is read-only',
};

/** Why a file or a stream cannot be read or written, as the end of a sentence. */
export function reasonOf(cause: unknown): string {
  const { code = '', message } = cause as NodeJS.ErrnoException;
  return REASONS[code] ?? message;
}
