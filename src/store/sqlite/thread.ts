// The thread that owns the database file: receives requests, answers them, and looks after the file in between.
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { copyFailure } from './backup-copy.ts';
import type { Database } from './database.ts';
import { DatabaseHandle } from './database-handle.ts';
import { type RequestOutcome, oneLine } from './failures.ts';
import { GroupCommit } from './group-commit.ts';
import {
  type Answers,
  type FromThread,
  type Request,
  type ThreadOptions,
  type ToThread,
  unpackRequests,
} from './messages.ts';
import { Refusal } from './open.ts';

/** Requests of one transaction: with more the first ones would be answered later, at little gain. */
const GROUP_MAX = 256;

/** How often the file is looked after, and a store that could not write tries to. */
const MAINTENANCE_INTERVAL_MS = 500;

const port = parentPort!;
const options = workerData as ThreadOptions;
const handle = new DatabaseHandle(options);
const groupCommit = new GroupCommit(handle, options);
/** Whether no request has come since the last maintenance. */
let isIdle = true;
/** Whether the database is being copied, in steps that are immediates. */
let isCopying = false;
/** What came during a copy and is served behind its next step. */
let deferred: ToThread[] = [];

try {
  const { migrated } = handle.open();
  port.on('message', receive);
  setInterval(maintain, MAINTENANCE_INTERVAL_MS).unref();
  post({ refusal: undefined, identity: handle.identity, migrated });
} catch (error) {
  const reason = oneLine(error);
  const refusal =
    error instanceof Refusal ? reason : `STORE_URL: ${options.path} cannot be opened: ${reason}`;
  post({ refusal });
}

/** During a copy a group of requests and a step of the copy take turns: without a pause there would be no step. */
function receive(message: ToThread): void {
  if (!isCopying && deferred.length === 0) return serve([message]);
  deferred.push(message);
  if (deferred.length > 1) return;
  setImmediate(() => {
    const messages = deferred;
    deferred = [];
    serve(messages);
  });
}

/** Serves requests until no message waits, or one group during a copy. Those that come meanwhile are the next group. */
function serve(messages: readonly ToThread[]): void {
  isIdle = false;
  let { requests, isClosing } = receiveAll(messages);
  for (;;) {
    for (let start = 0; start < requests.length; start += GROUP_MAX) {
      const startMs = performance.now();
      const outcomes = groupCommit.run(requests.slice(start, start + GROUP_MAX));
      post({ ...answersOf(outcomes), ranMs: [startMs, performance.now()] });
      // After the answers, so that they do not wait for a checkpoint.
      checkpointIfLong();
    }
    if (isClosing) break;
    if (isCopying) return;
    const next = receiveMessageOnPort(port);
    if (!next) return;
    ({ requests, isClosing } = receiveAll([next.message as ToThread]));
  }
  handle.database?.close();
  port.close();
}

/** The requests of messages and of all that wait after them. */
function receiveAll(messages: readonly ToThread[]): { requests: Request[]; isClosing: boolean } {
  const requests: Request[] = [];
  const queue = [...messages];
  for (;;) {
    const message = queue.shift() ?? (receiveMessageOnPort(port)?.message as ToThread | undefined);
    if (message === undefined || message === 'close') return { requests, isClosing: message === 'close' };
    if ('copyTo' in message) void copyTo(message.copyTo);
    else requests.push(...unpackRequests(message));
  }
}

async function copyTo(path: string): Promise<void> {
  isCopying = true;
  try {
    await handle.open().copyTo(path);
    post({ copyFailure: undefined });
  } catch (error) {
    post({ copyFailure: copyFailure(error) });
  } finally {
    isCopying = false;
  }
}

/** Finds out without a request whether the file is gone or can be written again, and returns free space. */
function maintain(): void {
  const { database, isReplaced } = handle;
  if (database && handle.checkInPlace(database) && isIdle) shrink(database);
  isIdle = true;
  if (handle.isReplaced !== isReplaced) post(answersOf([]));
  if (!handle.isReplaced && handle.spaceProblem !== undefined) recover();
}

function shrink(database: Database): void {
  try {
    database.shrink();
    checkpointIfLong();
  } catch {
    // The next request that needs the disk fails with the same error, and reports it.
  }
}

/**
 * Tries whether the store can write again. A service that is not ready gets no requests, so none of them would
 * find that out.
 */
function recover(): void {
  try {
    const database = handle.open();
    if (database.regainReserve()) database.probe();
    handle.clearWriteProblem();
  } catch (error) {
    handle.discard();
    handle.setWriteProblem(error);
  }
  checkpointIfLong();
  post(answersOf([]));
}

function checkpointIfLong(): void {
  const hasChanged = handle.checkpointIfLong();
  if (hasChanged) post(answersOf([]));
}

/** @param outcomes none if only the problem of the store is to be reported */
function answersOf(outcomes: readonly RequestOutcome[]): Answers {
  const failures = outcomes.flatMap((outcome, index) =>
    'failure' in outcome ? [[index, outcome.failure] as const] : [],
  );
  const values = outcomes.map((outcome) => ('value' in outcome ? outcome.value : undefined));
  return { values, failures, problem: handle.problem };
}

function post(message: FromThread): void {
  port.postMessage(message);
}
