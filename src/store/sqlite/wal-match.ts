// Whether a write-ahead log (`…-wal`) belongs to the database file beside it. SQLite replays every WAL that it
// finds: over a file that was restored from a backup it would mix pages of two times, with valid checksums.
//
// Each WAL begins with a transaction that increases a generation number in page 1 (user_version). So a WAL
// belongs to a file with the generation before its first one (no checkpoint has copied anything of it yet),
// or with one of its own.
// Formats: https://www.sqlite.org/fileformat2.html, sections 1.3 and 4.1.
import { closeSync, openSync, readSync } from 'node:fs';

/** The low byte of user_version is the format of the store, the rest is the generation. */
const GENERATION_UNIT = 256;
/** user_version has 31 bits. Generation 0 is that of files of versions that did not write one. */
const GENERATIONS = 2 ** 23;

const USER_VERSION_OFFSET = 60;
const DATABASE_HEADER_BYTES = 100;
const WAL_HEADER_BYTES = 32;
/** With checksums in little-endian and big-endian byte order. */
const WAL_MAGICS = [0x377f0682, 0x377f0683];
const FRAME_HEADER_BYTES = 24;
const SALTS_BYTES = 8;

/** user_version for a format and a generation. */
export function userVersionOf(format: number, generation: number): number {
  return format + GENERATION_UNIT * generation;
}

/** The format in user_version. */
export function formatOf(userVersion: number): number {
  return userVersion % GENERATION_UNIT;
}

/** The generation in user_version. */
export function generationOf(userVersion: number): number {
  return Math.floor(userVersion / GENERATION_UNIT);
}

/** The generation of the next WAL; never 0. */
export function nextGeneration(generation: number): number {
  return (generation + 1) % GENERATIONS || 1;
}

/**
 * The generation of a new file. Different files begin with different ones, so that their WALs do not match.
 *
 * @param random in [0, 1)
 */
export function firstGeneration(random: number): number {
  return 1 + Math.floor(random * (GENERATIONS - 1));
}

/**
 * Whether the WAL of a file belongs to it; true if there is none, or one without a committed transaction. To be
 * called before SQLite opens the file.
 *
 * @throws an error of the system
 */
export function isWalOf(path: string): boolean {
  const generations = withFile(`${path}-wal`, generationsInWal);
  if (generations === undefined) return true;
  const generation = withFile(path, (file) => {
    const header = read(file, 0, DATABASE_HEADER_BYTES);
    return header && generationOf(header.readUInt32BE(USER_VERSION_OFFSET));
  });
  // SQLite discards the WAL of an empty file.
  if (generation === undefined || generations.includes(generation)) return true;
  const [first] = generations;
  return first === undefined ? generation === 0 : first === nextGeneration(generation);
}

/** The generations in the images of page 1 in a WAL, in their order; undefined if it has no commit frame. */
function generationsInWal(file: number): number[] | undefined {
  const header = read(file, 0, WAL_HEADER_BYTES);
  if (!header || !WAL_MAGICS.includes(header.readUInt32BE(0))) return undefined;
  const pageBytes = header.readUInt32BE(8);
  const salts = header.subarray(16, 16 + SALTS_BYTES);
  const generations: number[] = [];
  let hasCommit = false;
  for (let offset = WAL_HEADER_BYTES; ; offset += FRAME_HEADER_BYTES + pageBytes) {
    const frame = read(file, offset, FRAME_HEADER_BYTES);
    // Frames with other salts are left over from an earlier WAL in the same file.
    if (!frame?.subarray(8, 8 + SALTS_BYTES).equals(salts)) return hasCommit ? generations : undefined;
    if (frame.readUInt32BE(4) !== 0) hasCommit = true;
    if (frame.readUInt32BE(0) !== 1) continue;
    const page = read(file, offset + FRAME_HEADER_BYTES, DATABASE_HEADER_BYTES);
    if (page) generations.push(generationOf(page.readUInt32BE(USER_VERSION_OFFSET)));
  }
}

/** Undefined if the file ends before. */
function read(file: number, offset: number, length: number): Buffer | undefined {
  const bytes = Buffer.alloc(length);
  return readSync(file, bytes, 0, length, offset) === length ? bytes : undefined;
}

/** Calls `use` with the descriptor of a file that is opened for it; undefined if there is no such file. */
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
