// The database of the thread of the store while it fails and recovers: after an error that makes the connection
// unreliable it is closed, and opened again by the next call that needs it.
import { Database } from './database.ts';
import type { FileIdentity } from './file-identity.ts';
import type { ThreadOptions } from './messages.ts';
import { replacedMessage } from './open.ts';
import { isFull } from './reserve.ts';
import { oneLine } from './failures.ts';

export const DISK_FULL = 'the disk of the session store is full';

export class DatabaseHandle {
  readonly #options: ThreadOptions;
  /** The file that was opened first. The thread serves no other one, also if it is at the same path. */
  #expected: FileIdentity | undefined;
  #database: Database | undefined;
  #isReplaced = false;
  /** Why the last transaction that writes has failed; undefined if it has not. */
  #writeProblem: string | undefined;
  /** Why the last checkpoint has failed: writes may succeed nevertheless, for some time. */
  #checkpointProblem: string | undefined;

  constructor(options: ThreadOptions) {
    this.#options = options;
    this.#expected = options.expected;
  }

  /** Undefined if it is closed. */
  get database(): Database | undefined {
    return this.#database;
  }

  /** The file that was opened. */
  get identity(): FileIdentity | undefined {
    return this.#expected;
  }

  /** Whether another file, or none, is at the path, when that was last checked. */
  get isReplaced(): boolean {
    return this.#isReplaced;
  }

  /** Why the store cannot serve all calls at this moment; undefined if it can. */
  get problem(): string | undefined {
    return this.#isReplaced ? replacedMessage(this.#options.path) : this.spaceProblem;
  }

  /** The same, if the file is in its place. */
  get spaceProblem(): string | undefined {
    const isReserveMissing = this.#database?.hasReserve === false;
    return this.#writeProblem ?? this.#checkpointProblem ?? (isReserveMissing ? DISK_FULL : undefined);
  }

  /** The database, which is opened if it is closed. @throws Refusal · an error of SQLite or of the system */
  open(): Database {
    if (this.#database) return this.#database;
    const database = new Database(this.#options, this.#expected);
    this.#expected = database.identity;
    this.#database = database;
    return database;
  }

  /** Closes the database after an error. Never throws: it is that error which is reported. */
  discard(): void {
    const database = this.#database;
    this.#database = undefined;
    try {
      database?.close();
    } catch {
      // As above.
    }
  }

  /** Checks whether the path still names the open file. @throws an error of the system */
  checkInPlace(database: Database): boolean {
    this.#isReplaced = !database.isInPlace();
    return !this.#isReplaced;
  }

  /** Keeps why a transaction that writes has failed. */
  setWriteProblem(error: unknown): void {
    this.#writeProblem = problemOf(error);
  }

  clearWriteProblem(): void {
    this.#writeProblem = undefined;
  }

  /** Makes a checkpoint if the WAL is long. Never throws. @returns whether the problem is another one now */
  checkpointIfLong(): boolean {
    const before = this.#checkpointProblem;
    try {
      this.#database?.checkpointIfLong();
      this.#checkpointProblem = undefined;
    } catch (error) {
      this.#checkpointProblem = problemOf(error);
    }
    return this.#checkpointProblem !== before;
  }
}

function problemOf(error: unknown): string {
  return isFull(error) ? DISK_FULL : `the session store cannot write: ${oneLine(error)}`;
}
