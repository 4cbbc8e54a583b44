// The main thread's side of the thread of the store: sends calls, settles their promises, limits their time and
// number, and starts the thread again when it has ended.
//
//   main thread                                     thread of the store (thread.ts)
//   calls of an iteration  ── one message ──►       all that wait: one transaction, one sync
//   promises settle        ◄── one message ──       their answers, after COMMIT
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { type Applied, CarryoverError } from '../../errors.ts';
import type { RequestTrace } from '../../request-trace.ts';
import type { CommittedGroupListener } from '../store.ts';
import type { FileIdentity } from './file-identity.ts';
import {
  type Answers,
  type Call,
  type Failure,
  type FromThread,
  type Opened,
  type Part,
  type Request,
  type ThreadOptions,
  type ToThread,
  isWrite,
  packRequests,
} from './messages.ts';
import { Queue } from './queue.ts';

export interface ThreadClientOptions {
  /** Limit of the database file. */
  readonly bytesMax: number;
  /** Of a call, from its beginning to its answer. */
  readonly timeoutMs: number;
  /** Calls that wait for an answer; more are refused. */
  readonly queueMax: number;
  /** Called when the thread has ended unexpectedly; it is started again. */
  readonly onLost?: ((reason: unknown) => void) | undefined;
  /** Undefined if nobody wants to know. */
  readonly onCommitted?: CommittedGroupListener | undefined;
  /** The module that the thread runs; tests replace it to inject faults. */
  readonly entry?: URL | undefined;
}

/** The delays before a thread that cannot open the file is started again are 50 ms, 100 ms, … up to this. */
const RESTART_DELAY_MS_MAX = 2_000;

/** Copying smaller buffers is cheaper than transferring them. */
const TRANSFER_BYTES_MIN = 16 * 1024;

interface PendingCall {
  readonly isWrite: boolean;
  /** Of a change whose request is sampled. */
  readonly trace: RequestTrace | undefined;
  /** By performance.now(). */
  readonly deadlineMs: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: CarryoverError) => void;
}

export class ThreadClient {
  readonly #path: string;
  readonly #options: ThreadClientOptions;
  #state: 'starting' | 'up' | 'down' | 'closed' = 'starting';
  /** The file that was opened first: no other one is served at its path. */
  #identity: FileIdentity | undefined;
  #migrated: Opened['migrated'];
  /** From when it has opened the file until it ends. */
  #thread: Worker | undefined;
  /** Resolves when the thread that was started last has ended. */
  #exited: Promise<void> = Promise.resolve();
  /** The calls of this event-loop iteration, which are not sent yet. */
  #unsent: Request[] = [];
  /** The calls that the thread has not answered, in their order; among them those that have timed out. */
  readonly #pending = new Queue<PendingCall>();
  /** How many of them, from the front, have timed out. */
  #timedOutCount = 0;
  #timeoutTimer: NodeJS.Timeout | undefined;
  #problem: string | undefined;
  /** The copy that is being made. */
  #copy: PromiseWithResolvers<void> | undefined;

  constructor(path: string, options: ThreadClientOptions) {
    this.#path = path;
    this.#options = options;
  }

  /** Starts the thread, once. @throws Error in one line if the file cannot be opened */
  async start(): Promise<void> {
    const { bytesMax, entry = new URL('./thread.ts', import.meta.url) } = this.#options;
    const workerData: ThreadOptions = { path: this.#path, bytesMax, expected: this.#identity };
    const thread = new Worker(entry, { workerData, execArgv: [] });
    let reason: unknown = new Error('the thread of the session store ended');
    thread.once('error', (error) => {
      reason = error;
    });
    const exited = Promise.withResolvers<void>();
    this.#exited = exited.promise;
    const opened = Promise.withResolvers<void>();
    thread.once('exit', () => {
      this.#onExit(thread, reason);
      exited.resolve();
      opened.reject(reason);
    });
    thread.on('message', (message: FromThread) => {
      if ('values' in message) return this.#settle(message);
      if ('copyFailure' in message) return this.#settleCopy(message.copyFailure && errorOf(message.copyFailure));
      if (message.refusal !== undefined) {
        reason = new Error(message.refusal);
        return;
      }
      this.#identity = message.identity;
      this.#migrated ??= message.migrated;
      this.#onOpened(thread);
      opened.resolve();
    });
    await opened.promise;
  }

  /** What was done to the file of an earlier format when it was opened; undefined if nothing was. */
  get migrated(): Opened['migrated'] {
    return this.#migrated;
  }

  /** Why calls cannot be served at this moment; empty if they can. */
  problems(): readonly string[] {
    if (this.#state !== 'up') return ['the session store is being opened'];
    if (this.#timedOutCount > 0) return ['the session store does not answer in time'];
    return this.#problem === undefined ? [] : [this.#problem];
  }

  /**
   * Has the thread execute a call. Calls are executed in their order.
   *
   * @throws CarryoverError of the call · store_unavailable: applied `unknown` if it was sent and is not answered
   */
  async call(call: Call, parts: readonly Part[] = [], trace?: RequestTrace): Promise<unknown> {
    if (this.#state !== 'up') {
      throw unavailable(`The session store is ${this.#state}; nothing was changed.`, 'no');
    }
    if (this.#pending.length >= this.#options.queueMax) {
      throw unavailable(`${this.#pending.length} calls wait for the session store.`, 'no');
    }
    // Sent when the calls of this iteration are complete.
    if (this.#unsent.length === 0) setImmediate(() => this.#flush());
    this.#unsent.push({ call, parts });
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const { timeoutMs } = this.#options;
    this.#timeoutTimer ??= setTimeout(() => this.#rejectTimedOut(), timeoutMs);
    const deadlineMs = performance.now() + timeoutMs;
    this.#pending.push({ isWrite: isWrite(call), trace: trace?.parts && trace, deadlineMs, resolve, reject });
    return promise;
  }

  /**
   * Has the thread copy the database, while it goes on executing calls. One copy at a time.
   *
   * @param path an existing empty file
   * @throws store_full if the disk of the copy is · store_unavailable
   */
  async copyTo(path: string): Promise<void> {
    if (this.#state !== 'up') throw unavailable(`The session store is ${this.#state}; nothing was copied.`, 'no');
    this.#flush();
    const copy = Promise.withResolvers<void>();
    this.#copy = copy;
    this.#thread!.postMessage({ copyTo: path } satisfies ToThread);
    await copy.promise;
  }

  /** Resolves when the calls that were made have ended, and with them the thread. */
  async close(): Promise<void> {
    if (this.#state !== 'closed') {
      this.#flush();
      this.#state = 'closed';
      this.#thread?.postMessage('close' satisfies ToThread);
    }
    await this.#exited;
  }

  #flush(): void {
    if (this.#unsent.length === 0) return;
    const messages = packRequests(this.#unsent);
    this.#unsent = [];
    for (const requests of messages) {
      const { buffer } = requests.bytes;
      const transferred = buffer.byteLength < TRANSFER_BYTES_MIN ? [] : [buffer];
      this.#thread!.postMessage(requests satisfies ToThread, transferred);
    }
  }

  #settleCopy(error?: CarryoverError): void {
    if (error) this.#copy?.reject(error);
    else this.#copy?.resolve();
    this.#copy = undefined;
  }

  #settle({ values, failures, problem, ranMs }: Answers): void {
    this.#problem = problem;
    const failureByIndex = new Map(failures);
    const traces: RequestTrace[] = [];
    values.forEach((value, index) => {
      const pending = this.#pending.shift()!;
      if (this.#timedOutCount > 0) this.#timedOutCount--;
      const failure = failureByIndex.get(index);
      if (failure) return pending.reject(errorOf(failure));
      if (pending.trace) traces.push(pending.trace);
      pending.resolve(value);
    });
    // What waits for the promises goes on when this function has returned.
    if (!ranMs || traces.length === 0) return;
    const [startMs, endMs] = ranMs;
    this.#options.onCommitted?.({ startMs, endMs, calls: values.length, traces });
  }

  /** One timer serves all calls: they have the same timeout, so that of the oldest expires first. */
  #rejectTimedOut(): void {
    const nowMs = performance.now();
    for (; this.#timedOutCount < this.#pending.length; this.#timedOutCount++) {
      const { deadlineMs, isWrite, reject } = this.#pending.at(this.#timedOutCount);
      if (deadlineMs > nowMs) break;
      const detail = `The session store did not answer within ${this.#options.timeoutMs} ms.`;
      reject(unavailable(detail, isWrite ? 'unknown' : 'no'));
    }
    this.#timeoutTimer = undefined;
    if (this.#timedOutCount === this.#pending.length) return;
    const next = this.#pending.at(this.#timedOutCount);
    this.#timeoutTimer = setTimeout(() => this.#rejectTimedOut(), next.deadlineMs - nowMs);
  }

  #onOpened(thread: Worker): void {
    this.#thread = thread;
    if (this.#state === 'closed') thread.postMessage('close' satisfies ToThread);
    else this.#state = 'up';
  }

  /** Rejects all calls: those that were sent to the thread may have been executed. */
  #onExit(thread: Worker, reason: unknown): void {
    if (thread !== this.#thread) return;
    this.#thread = undefined;
    const unsentCount = this.#unsent.length;
    this.#unsent = [];
    for (let pending = this.#pending.shift(); pending; pending = this.#pending.shift()) {
      const wasSent = this.#pending.length >= unsentCount;
      const applied = pending.isWrite && wasSent ? 'unknown' : 'no';
      pending.reject(unavailable('The thread of the session store ended.', applied));
    }
    this.#settleCopy(unavailable('The thread of the session store ended.', 'no'));
    this.#timedOutCount = 0;
    this.#problem = undefined;
    clearTimeout(this.#timeoutTimer);
    this.#timeoutTimer = undefined;
    if (this.#state === 'closed') return;
    this.#state = 'down';
    this.#options.onLost?.(reason);
    void this.#restart();
  }

  async #restart(): Promise<void> {
    for (let delayMs = 0; ; delayMs = Math.min(RESTART_DELAY_MS_MAX, Math.max(50, delayMs * 2))) {
      await sleep(delayMs, undefined, { ref: false });
      if (this.#state === 'closed') return;
      try {
        return await this.start();
      } catch {
        // The file cannot be opened yet, which problems() reports.
      }
    }
  }
}

function errorOf({ code, detail, applied }: Failure): CarryoverError {
  return new CarryoverError(code, { detail, applied });
}

function unavailable(detail: string, applied: Applied): CarryoverError {
  return new CarryoverError('store_unavailable', { detail, applied });
}
