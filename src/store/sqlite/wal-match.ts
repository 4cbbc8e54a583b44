// Whether a log (`…-wal`) belongs to the database file beside it. SQLite plays back every log that it finds:
// over a file that was restored from a backup it would mix pages of two times, with checksums that are right.
//
// Each log begins with a change of a mark in page 1 (user_version), to the mark that follows. So a log
// belongs to a file that has the mark before it (nothing of it was copied back yet) or one of its own.
// Formats: https://www.sqlite.org/fileformat2.html, sections 1.3 and 4.1.
import { closeSync, openSync, readSync } from 'node:fs';

/** The low byte of user_version is the format of the store, the rest is the mark. */
const MARK_UNIT = 256;
/** user_version has 31 bits. 0 is the mark of files of servers that knew none. */
const MARKS = 2 ** 23;

const USER_VERSION_OFFSET = 60;
const DATABASE_HEADER_BYTES = 100;
const LOG_HEADER_BYTES = 32;
/** Checksums in one byte order or the other. */
const MAGICS = [0x377f0682, 0x377f0683];
const FRAME_HEADER_BYTES = 24;
const SALTS_BYTES = 8;

export function userVersionOf(format: number, mark: number): number {
  return format + MARK_UNIT * mark;
}

export function formatIn(userVersion: number): number {
  return userVersion % MARK_UNIT;
}

export function markIn(userVersion: number): number {
  return Math.floor(userVersion / MARK_UNIT);
}

export function nextMark(mark: number): number {
  return (mark + 1) % MARKS || 1;
}

/** @param random in [0, 1): files that begin with other marks are told apart from the start */
export function firstMark(random: number): number {
  return 1 + Math.floor(random * (MARKS - 1));
}

/** To be called before SQLite opens the file. Without a log, or with one that has no commit: true. */
export function isWalOf(path: string): boolean {
  const marks = withFile(`${path}-wal`, marksInLog);
  if (marks === undefined) return true;
  const mark = withFile(path, (file) => {
    const header = read(file, 0, DATABASE_HEADER_BYTES);
    return header && markIn(header.readUInt32BE(USER_VERSION_OFFSET));
  });
  // SQLite drops the log of an empty file.
  if (mark === undefined || marks.includes(mark)) return true;
  return marks[0] === undefined ? mark === 0 : marks[0] === nextMark(mark);
}

/** Marks in the log's images of page 1, in their order; undefined if it has no commit. */
function marksInLog(file: number): number[] | undefined {
  const header = read(file, 0, LOG_HEADER_BYTES);
  if (!header || !MAGICS.includes(header.readUInt32BE(0))) return undefined;
  const pageBytes = header.readUInt32BE(8);
  const salts = header.subarray(16, 16 + SALTS_BYTES);
  const marks: number[] = [];
  let hasCommit = false;
  for (let at = LOG_HEADER_BYTES; ; at += FRAME_HEADER_BYTES + pageBytes) {
    const frame = read(file, at, FRAME_HEADER_BYTES);
    // Frames with other salts are left over from an earlier log in the same file.
    if (!frame?.subarray(8, 8 + SALTS_BYTES).equals(salts)) return hasCommit ? marks : undefined;
    if (frame.readUInt32BE(4) !== 0) hasCommit = true;
    if (frame.readUInt32BE(0) !== 1) continue;
    const page = read(file, at + FRAME_HEADER_BYTES, DATABASE_HEADER_BYTES);
    if (page) marks.push(markIn(page.readUInt32BE(USER_VERSION_OFFSET)));
  }
}

/** Undefined if there are not so many bytes. */
function read(file: number, offset: number, length: number): Buffer | undefined {
  const bytes = Buffer.alloc(length);
  return readSync(file, bytes, 0, length, offset) === length ? bytes : undefined;
}

/** Undefined if there is no such file, or it is empty. */
function withFile<Value>(path: string, use: (file: number) => Value): Value | undefined {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return use(file);
  } finally {
    closeSync(file);
  }
}
