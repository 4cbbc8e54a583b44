// The thread that owns the database file. All requests that wait share one transaction, so that one
// sync of the disk serves them all; no answer leaves before its COMMIT is done.
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { CarryoverError, type Applied } from '../../errors.ts';
import { Database } from './database.ts';
import { Refusal, replaced, sqliteCode } from './open.ts';
import { FREE_BYTES_NEEDED, NoRoom, isFull } from './reserve.ts';
import {
  isWrite,
  makesRoom,
  unpack,
  type Answers,
  type Failure,
  type FromThread,
  type Request,
  type Revising,
  type ThreadOptions,
  type ToThread,
} from './messages.ts';

/** A larger group answers its first request late, and gains little. */
const GROUP_MAX = 256;

/** How often a store that could not write tries again by itself. */
const PROBE_INTERVAL_MS = 500;

const DISK_FULL = 'the disk of the session store is full';

/** What a request has come to: its answer, or why it failed. */
type Outcome = { readonly value: unknown } | { readonly failure: Failure };

const port = parentPort!;
const options = workerData as ThreadOptions;
const { path } = options;

/** Undefined after a COMMIT failed, until it could be opened anew. */
let database: Database | undefined;
/** The file that was opened first, and is served until the thread ends. */
let known = options.known;
/** Why the path does not name the file that is open; undefined if it does. */
let placeProblem: string | undefined;
/** Whether nothing was asked for since it was looked after last. */
let isIdle = true;
/** Why the last write failed; undefined if it did not. */
let writeProblem: string | undefined;
/** Why the log could not be copied back; writes may work nevertheless, for a while. */
let logProblem: string | undefined;

try {
  database = openDatabase();
  port.on('message', serve);
  setInterval(lookAfter, PROBE_INTERVAL_MS).unref();
  post({ refusal: undefined, identity: known });
} catch (error) {
  const reason = oneLine(error);
  post({ refusal: error instanceof Refusal ? reason : `STORE_URL: ${path} cannot be opened: ${reason}` });
}

/** @throws Refusal · an error of SQLite */
function openDatabase(): Database {
  const open = new Database(options, known);
  known = open.identity;
  return open;
}

/** Goes on until no message is waiting: what came meanwhile is the next group. */
function serve(first: ToThread): void {
  isIdle = false;
  let { requests, isLast } = takeAll(first);
  for (;;) {
    for (let start = 0; start < requests.length; start += GROUP_MAX) {
      // Nobody waits for the log to be copied back who has been answered.
      post(answersOf(runGroup(requests.slice(start, start + GROUP_MAX))));
      keepLogShort();
    }
    if (isLast) break;
    const next = receiveMessageOnPort(port);
    if (!next) return;
    ({ requests, isLast } = takeAll(next.message as ToThread));
  }
  database?.close();
  port.close();
}

function takeAll(first: ToThread): { requests: Request[]; isLast: boolean } {
  const requests: Request[] = [];
  for (let message = first; message !== 'close'; ) {
    requests.push(...unpack(message));
    const next = receiveMessageOnPort(port);
    if (!next) return { requests, isLast: false };
    message = next.message as ToThread;
  }
  return { requests, isLast: true };
}

/**
 * Every request within one transaction; a conflict of one is an answer, the others are done.
 *
 * @param mayFreeRoom whether what makes room is tried again on a full disk, when some was made for it
 */
function runGroup(group: readonly Request[], mayFreeRoom = true): Outcome[] {
  let open: Database;
  try {
    open = database ??= openDatabase();
  } catch (error) {
    return fail(group, error, 'no');
  }
  // Looked at again only here: to look before and after every group would cost twice as much.
  if (placeProblem !== undefined && !isInPlace(open)) return displaced(group, 'no');
  let outcomes: Outcome[];
  try {
    open.begin(kindOf(group));
    outcomes = group.map((request) => execute(open, request));
  } catch (error) {
    abandon(open, error);
    // One that cannot be done must not fail its neighbours.
    if (group.length > 1) return group.flatMap((request) => runGroup([request]));
    const [request] = group as [Request];
    return afterFullDisk(request, error, mayFreeRoom) ?? fail(group, error, 'no');
  }
  try {
    open.commit();
  } catch (error) {
    const failures = fail(group, error, afterFailedCommit(open, error, group, outcomes));
    return group.flatMap((request, i) => {
      if (!isWrite(request.call)) return database ? runGroup([request]) : failures[i]!;
      return afterFullDisk(request, error, mayFreeRoom) ?? failures[i]!;
    });
  }
  if (!group.some(({ call }) => isWrite(call))) return outcomes;
  writeProblem = undefined;
  // What was written to a file that is not there any more is not kept.
  return isInPlace(open) ? outcomes : displaced(group, 'unknown');
}

/** What a request that a full disk has stopped comes to nevertheless; undefined if it stays undone. */
function afterFullDisk(request: Request, error: unknown, mayFreeRoom: boolean): Outcome[] | undefined {
  if (!isFull(error)) return undefined;
  if (makesRoom(request.call)) return mayFreeRoom ? runWithRoom(request) : undefined;
  try {
    return database?.isSo(request) ? [{ value: undefined }] : undefined;
  } catch {
    return undefined;
  }
}

function runWithRoom(request: Request): Outcome[] {
  try {
    database ??= openDatabase();
    database.freeRoom();
  } catch (error) {
    return fail([request], error, 'no');
  }
  return runGroup([request], false);
}

function kindOf(group: readonly Request[]): 'reads' | 'writes' | 'makesRoom' {
  const writes = group.filter(({ call }) => isWrite(call));
  if (writes.length === 0) return 'reads';
  return writes.every(({ call }) => makesRoom(call)) ? 'makesRoom' : 'writes';
}

function isInPlace(open: Database): boolean {
  placeProblem = open.isInPlace() ? undefined : replaced(path);
  return placeProblem === undefined;
}

function displaced(group: readonly Request[], applied: Applied): Outcome[] {
  const detail = `The session store cannot be used: ${replaced(path)}.`;
  return group.map(({ call }) => ({
    failure: { code: 'store_unavailable', detail, applied: isWrite(call) ? applied : 'no' },
  }));
}

/** @throws what ends the transaction: errors of SQLite, and bugs */
function execute(open: Database, request: Request): Outcome {
  try {
    return { value: open.execute(request) };
  } catch (error) {
    if (!(error instanceof CarryoverError)) throw error;
    return { failure: { code: error.code, detail: error.message, applied: 'no' } };
  }
}

function abandon(open: Database, cause: unknown): void {
  try {
    open.rollback();
  } catch {
    return closeAfter(open);
  }
  // What SQLite has in memory after an I/O error is not relied on.
  if (sqliteCode(cause)?.startsWith('SQLITE_IOERR')) closeAfter(open);
}

/**
 * A COMMIT that failed may have reached the disk nevertheless, invisible to this connection: after
 * an EIO of fsync the changes are there when the file is opened the next time. So it is opened anew
 * at once, and one change of the group shows whether all of it came to pass.
 */
function afterFailedCommit(
  open: Database,
  error: unknown,
  group: readonly Request[],
  outcomes: readonly Outcome[],
): Applied {
  closeAfter(open);
  const witness = witnessOf(group, outcomes);
  try {
    database = openDatabase();
    // On a full disk it fails before it writes the frame that commits.
    if (!witness) return isFull(error) ? 'no' : 'unknown';
    return database.shows(witness) ? 'unknown' : 'no';
  } catch {
    return 'unknown';
  }
}

function witnessOf(group: readonly Request[], outcomes: readonly Outcome[]) {
  if (group.some(({ call }) => call[0] === 'forget')) return undefined;
  return group.find((request, i): request is Request & { call: Revising } => {
    const outcome = outcomes[i]!;
    const isRevising = ['create', 'change', 'writeTombstone'].includes(request.call[0]);
    return isRevising && 'value' in outcome && outcome.value === true;
  });
}

function closeAfter(open: Database): void {
  database = undefined;
  try {
    open.close();
  } catch {
    // The error that led here is the one that is reported.
  }
}

function fail(group: readonly Request[], error: unknown, applied: Applied): Outcome[] {
  const reason = oneLine(error);
  // A damaged page is the trouble of those who need it, not of all.
  const isDamage = sqliteCode(error)?.startsWith('SQLITE_CORRUPT') ?? false;
  const isAtLimit = isFull(error) && !(error instanceof NoRoom) && (database?.wouldExceed(bytesIn(group)) ?? false);
  if (isKnown(error) && !isDamage && !isAtLimit) writeProblem = problemOf(error);
  return group.map(({ call }): Outcome => {
    if (isWrite(call) && applied === 'unknown') {
      const detail = `The session store failed (${reason}) when the change was nearly done.`;
      return { failure: { code: 'store_unavailable', detail, applied } };
    }
    const lacksRoom = isWrite(call) && isFull(error);
    const code = !isKnown(error) ? 'internal' : lacksRoom ? 'store_full' : 'store_unavailable';
    const detail = `The session store failed (${reason}); nothing was changed.`;
    return { failure: { code, detail: lacksRoom ? lackOfRoom(isAtLimit) : detail, applied: 'no' } };
  });
}

function lackOfRoom(isAtLimit: boolean): string {
  if (isAtLimit) return `The session store has ${options.bytesMax} bytes (STORE_BYTES_MAX); nothing was changed.`;
  const needed = `${FREE_BYTES_NEEDED / 2 ** 20} MiB`;
  return `The disk of the session store is full: delete sessions or models, or have ${needed} free; nothing was changed.`;
}

function bytesIn(group: readonly Request[]): number {
  return group.flatMap(({ parts }) => parts).reduce((sum, [, bytes]) => sum + bytes.length, 0);
}

/** Others are bugs. */
function isKnown(error: unknown): boolean {
  const isOfSystem = error instanceof Error && 'syscall' in error;
  return error instanceof Refusal || error instanceof NoRoom || sqliteCode(error) !== undefined || isOfSystem;
}

function problemOf(error: unknown): string {
  return isFull(error) ? DISK_FULL : `the session store cannot write: ${oneLine(error)}`;
}

/** So that the store is neither ready when its file is gone, nor larger than it needs to be, unasked. */
function lookAfter(): void {
  const before = placeProblem;
  if (database && isInPlace(database) && isIdle) shrink(database);
  isIdle = true;
  if (placeProblem !== before) post(answersOf([]));
  if (placeProblem === undefined) probe();
}

function shrink(open: Database): void {
  try {
    open.shrink();
    keepLogShort();
  } catch {
    // The next call that needs the disk finds out, and says it.
  }
}

/** Otherwise a server that says it is not ready would get no request that finds it ready again. */
function probe(): void {
  if (problem() === undefined) return;
  try {
    database ??= openDatabase();
    if (database.regainReserve()) database.probe();
    writeProblem = undefined;
  } catch (error) {
    if (database) closeAfter(database);
    writeProblem = problemOf(error);
  }
  keepLogShort();
  post(answersOf([]));
}

function keepLogShort(): void {
  const before = logProblem;
  try {
    database?.keepLogShort();
    logProblem = undefined;
  } catch (error) {
    logProblem = problemOf(error);
  }
  if (logProblem !== before) post(answersOf([]));
}

/** Why not everything can be written; undefined if it can. */
function problem(): string | undefined {
  return writeProblem ?? logProblem ?? (database?.hasReserve === false ? DISK_FULL : undefined);
}

function answersOf(outcomes: readonly Outcome[]): Answers {
  const failures = outcomes.flatMap((outcome, place) =>
    'failure' in outcome ? [[place, outcome.failure] as const] : [],
  );
  const values = outcomes.map((outcome) => ('value' in outcome ? outcome.value : undefined));
  return { values, failures, problem: placeProblem ?? problem() };
}

function post(message: FromThread): void {
  port.postMessage(message);
}

function oneLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const code = sqliteCode(error);
  return (code ? `${code}: ${text}` : text).replaceAll(/\s+/g, ' ');
}
