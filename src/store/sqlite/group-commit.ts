// Group commit: all requests that wait are executed in one transaction, so that one sync of the disk serves them
// all, and none is answered before its COMMIT has returned.
import { CarryoverError, type Applied } from '../../errors.ts';
import type { Database, TransactionKind } from './database.ts';
import type { DatabaseHandle } from './database-handle.ts';
import {
  type RequestOutcome,
  failuresOf,
  isCorruption,
  isExpected,
  replacedFailures,
} from './failures.ts';
import {
  type Request,
  type RevisionCall,
  type ThreadOptions,
  freesSpace,
  isWrite,
} from './messages.ts';
import { sqliteCode } from './open.ts';
import { NoSpaceError, isFull } from './reserve.ts';

export class GroupCommit {
  readonly #handle: DatabaseHandle;
  readonly #options: ThreadOptions;

  constructor(handle: DatabaseHandle, options: ThreadOptions) {
    this.#handle = handle;
    this.#options = options;
  }

  /**
   * Executes requests in one transaction. A conflict of one of them is its value, and the others are done; after
   * an error each is executed again in a transaction of its own. Never throws.
   *
   * @param mayFreeSpace whether requests that free space are repeated after a full disk, with the reserved space
   * @returns one outcome for each request
   */
  run(group: readonly Request[], mayFreeSpace = true): RequestOutcome[] {
    let database: Database;
    try {
      database = this.#handle.open();
    } catch (error) {
      return this.#fail(group, error, 'no');
    }
    // Checked before a transaction only if the file was not in its place before: to check before and after every
    // transaction would cost twice as much.
    if (this.#handle.isReplaced && !this.#handle.checkInPlace(database)) {
      return replacedFailures(group, this.#options.path, 'no');
    }
    let outcomes: RequestOutcome[];
    try {
      database.begin(transactionKindOf(group));
      outcomes = group.map((request) => execute(database, request));
    } catch (error) {
      this.#abandon(database, error);
      if (group.length > 1) return group.flatMap((request) => this.run([request]));
      const [request] = group as [Request];
      return this.#afterFullDisk(request, error, mayFreeSpace) ?? this.#fail(group, error, 'no');
    }
    try {
      database.commit();
    } catch (error) {
      return this.#afterFailedCommit(group, outcomes, error, mayFreeSpace);
    }
    if (!group.some(({ call }) => isWrite(call))) return outcomes;
    this.#handle.clearWriteProblem();
    // What was written to a file that is not in its place will be lost.
    const isInPlace = this.#handle.checkInPlace(database);
    return isInPlace ? outcomes : replacedFailures(group, this.#options.path, 'unknown');
  }

  /** Rolls back. After an I/O error the connection is closed, as what SQLite has in memory is not relied on. */
  #abandon(database: Database, error: unknown): void {
    try {
      database.rollback();
    } catch {
      this.#handle.discard();
      return;
    }
    if (sqliteCode(error)?.startsWith('SQLITE_IOERR')) this.#handle.discard();
  }

  #afterFailedCommit(
    group: readonly Request[],
    outcomes: readonly RequestOutcome[],
    error: unknown,
    mayFreeSpace: boolean,
  ): RequestOutcome[] {
    const failures = this.#fail(group, error, this.#appliedAfterFailedCommit(group, outcomes, error));
    return group.flatMap((request, k) => {
      if (!isWrite(request.call)) return this.#handle.database ? this.run([request]) : failures[k]!;
      return this.#afterFullDisk(request, error, mayFreeSpace) ?? failures[k]!;
    });
  }

  /**
   * Whether a transaction whose COMMIT failed is on the disk. It may be, invisible to this connection: after an
   * EIO of fsync the changes are there when the file is opened the next time. So the file is opened again
   * at once, and one change of the group shows whether all of it was committed.
   */
  #appliedAfterFailedCommit(
    group: readonly Request[],
    outcomes: readonly RequestOutcome[],
    error: unknown,
  ): Applied {
    this.#handle.discard();
    const witness = witnessOf(group, outcomes);
    try {
      const database = this.#handle.open();
      // On a full disk a COMMIT fails before it writes the frame that commits.
      if (!witness) return isFull(error) ? 'no' : 'unknown';
      return database.executor.isCommitted(witness) ? 'unknown' : 'no';
    } catch {
      return 'unknown';
    }
  }

  /** The outcome of a request that succeeds although the disk is full; undefined if it does not. */
  #afterFullDisk(request: Request, error: unknown, mayFreeSpace: boolean): RequestOutcome[] | undefined {
    if (!isFull(error)) return undefined;
    if (freesSpace(request.call)) return mayFreeSpace ? this.#runWithReserve(request) : undefined;
    try {
      return this.#handle.database?.executor.isNoOp(request) ? [{ value: undefined }] : undefined;
    } catch {
      return undefined;
    }
  }

  #runWithReserve(request: Request): RequestOutcome[] {
    try {
      this.#handle.open().freeSpace();
    } catch (error) {
      return this.#fail([request], error, 'no');
    }
    return this.run([request], false);
  }

  #fail(group: readonly Request[], error: unknown, applied: Applied): RequestOutcome[] {
    const isLimitReached =
      isFull(error) &&
      !(error instanceof NoSpaceError) &&
      (this.#handle.database?.wouldExceedLimit(bytesIn(group)) ?? false);
    if (isExpected(error) && !isCorruption(error) && !isLimitReached) this.#handle.setWriteProblem(error);
    const limitBytes = isLimitReached ? this.#options.bytesMax : undefined;
    return failuresOf(group, error, { applied, limitBytes });
  }
}

function transactionKindOf(group: readonly Request[]): TransactionKind {
  const writes = group.filter(({ call }) => isWrite(call));
  if (writes.length === 0) return 'reads';
  return writes.every(({ call }) => freesSpace(call)) ? 'freesSpace' : 'writes';
}

/** @throws what ends the transaction: errors of SQLite, and bugs */
function execute(database: Database, request: Request): RequestOutcome {
  try {
    return { value: database.executor.execute(request) };
  } catch (error) {
    if (!(error instanceof CarryoverError)) throw error;
    return { failure: { code: error.code, detail: error.message, applied: 'no' } };
  }
}

/** A change that succeeded in the transaction, and whose record shows later whether it was committed. */
function witnessOf(group: readonly Request[], outcomes: readonly RequestOutcome[]) {
  if (group.some(({ call }) => call[0] === 'forget')) return undefined;
  return group.find((request, k): request is Request & { call: RevisionCall } => {
    const outcome = outcomes[k]!;
    const isRevisionCall = ['create', 'change', 'writeTombstone'].includes(request.call[0]);
    return isRevisionCall && 'value' in outcome && outcome.value === true;
  });
}

function bytesIn(group: readonly Request[]): number {
  return group.flatMap(({ parts }) => parts).reduce((sum, [, bytes]) => sum + bytes.length, 0);
}
