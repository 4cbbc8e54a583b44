// The default store: one SQLite file, whose changes outlive a loss of power. It lives on a thread of
// its own (thread.ts), so the main thread never waits for a disk.
//
//   main thread                                     thread of the store
//   calls of a tick      ── one message ──►         all that wait: one transaction, one sync
//   promises settle      ◄── one message ──         their answers, after COMMIT
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { CarryoverError, type Applied } from '../../errors.ts';
import { monotonicClock } from '../clock.ts';
import type {
  ListedRecord,
  ModelStore,
  RecordParts,
  Revision,
  SessionStore,
  StoredRecord,
} from '../store.ts';
import type { FileIdentity } from './file-identity.ts';
import { SqliteModels } from './models.ts';
import { Queue } from './queue.ts';
import {
  HEAD,
  isWrite,
  packAll,
  type Answers,
  type Call,
  type Failure,
  type FromThread,
  type Part,
  type Request,
  type ThreadOptions,
  type ToThread,
} from './messages.ts';

export interface SqliteOptions {
  /** Of the file; 16 GiB unless said otherwise. */
  readonly bytesMax?: number;
  /** Of a call, from its beginning to its answer. */
  readonly timeoutMs: number;
  /** Calls that wait for an answer; more are refused. */
  readonly queueMax: number;
  /** Called when the thread has ended unexpectedly; it is started again. */
  readonly onLost?: (reason: unknown) => void;
  /** The file the thread runs; tests replace it to inject faults. */
  readonly entry?: URL;
}

const BYTES_MAX = 16 * 2 ** 30;

/** A thread that cannot open the file is started again after 50 ms, 100 ms, … up to this. */
const RESTART_DELAY_MS_MAX = 2_000;

/** Smaller buffers are cheaper to copy than to hand over. */
const TRANSFER_BYTES_MIN = 16 * 1024;

/** @throws Error in one line: the file is in use, of another format, or cannot be opened */
export async function openSqliteStore(path: string, options: SqliteOptions): Promise<SessionStore> {
  const store = new SqliteStore(path, options);
  await store.start();
  return store;
}

/** As the thread gives it: the revision is the number of changes. */
type CountedRecord = Omit<StoredRecord, 'revision'> & { readonly revision: number };

interface Pending {
  readonly isWrite: boolean;
  readonly deadlineMs: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: CarryoverError) => void;
}

class SqliteStore implements SessionStore {
  readonly description: string;
  readonly isShared = false;
  readonly models: ModelStore;
  readonly now = monotonicClock();
  readonly #path: string;
  readonly #options: SqliteOptions;
  #state: 'starting' | 'up' | 'down' | 'closed' = 'starting';
  /** The file that was opened first. */
  #known: FileIdentity | undefined;
  /** Once it has opened the file, until it ends. */
  #thread: Worker | undefined;
  /** Resolves when the thread started last has ended. */
  #exited: Promise<void> = Promise.resolve();
  /** Calls of this tick, which the thread has not got yet. */
  #outgoing: Request[] = [];
  /** The calls that the thread has not answered, in its order; also those that have timed out. */
  readonly #pending = new Queue<Pending>();
  #timer: NodeJS.Timeout | undefined;
  #lateCount = 0;
  #problem: string | undefined;

  constructor(path: string, options: SqliteOptions) {
    this.#path = path;
    this.#options = options;
    this.description = `sqlite: sessions and models are in ${path} and outlive a loss of power`;
    this.models = new SqliteModels((call, parts) => this.#call(call, parts));
  }

  async start(): Promise<void> {
    await this.#spawn();
  }

  problems(): readonly string[] {
    if (this.#state !== 'up') return ['the session store is being opened'];
    if (this.#lateCount > 0) return ['the session store does not answer in time'];
    return this.#problem === undefined ? [] : [this.#problem];
  }

  async create(
    id: string,
    parts: RecordParts,
    dueAtMs: number,
    modelId: string,
  ): Promise<Revision | undefined> {
    const isDone = await this.#call(['create', id, dueAtMs, modelId], partsOf(parts));
    return isDone ? '0' : undefined;
  }

  /** No other process changes the file while this one has it, so a count of changes will do. */
  async change(id: string, revision: Revision, parts: RecordParts): Promise<Revision | undefined> {
    const count = Number(revision);
    const isDone = await this.#call(['change', id, count], partsOf(parts));
    return isDone ? String(count + 1) : undefined;
  }

  async writeTombstone(id: string, revision: Revision, head: Uint8Array, dueAtMs: number): Promise<boolean> {
    const call: Call = ['writeTombstone', id, Number(revision), dueAtMs];
    return this.#call(call, [[HEAD, head]]) as Promise<boolean>;
  }

  async read(id: string): Promise<StoredRecord | undefined> {
    const record = (await this.#call(['read', id])) as CountedRecord | undefined;
    return record && { ...record, revision: String(record.revision) };
  }

  async due(nowMs: number, limit: number): Promise<string[]> {
    return this.#call(['due', nowMs, limit]) as Promise<string[]>;
  }

  async postpone(id: string, dueAtMs: number): Promise<void> {
    await this.#call(['postpone', id, dueAtMs]);
  }

  async forget(id: string): Promise<void> {
    await this.#call(['forget', id]);
  }

  async list(
    after: string | undefined,
    limit: number,
    modelId?: string,
  ): Promise<ListedRecord[]> {
    return this.#call(['list', after, limit, modelId]) as Promise<ListedRecord[]>;
  }

  async count(): Promise<number> {
    return this.#call(['count']) as Promise<number>;
  }

  async secret(): Promise<string> {
    return this.#call(['secret']) as Promise<string>;
  }

  async close(): Promise<void> {
    if (this.#state !== 'closed') {
      this.#flush();
      this.#state = 'closed';
      this.#thread?.postMessage('close' satisfies ToThread);
    }
    await this.#exited;
  }

  async #call(call: Call, parts: readonly Part[] = []): Promise<unknown> {
    if (this.#state !== 'up') {
      throw unavailable(`The session store is ${this.#state}; nothing was changed.`, 'no');
    }
    if (this.#pending.length >= this.#options.queueMax) {
      throw unavailable(`${this.#pending.length} calls wait for the session store.`, 'no');
    }
    // At the end of the tick, when all calls of it are there.
    if (this.#outgoing.length === 0) setImmediate(() => this.#flush());
    this.#outgoing.push({ call, parts });
    return new Promise((resolve, reject) => {
      const { timeoutMs } = this.#options;
      this.#timer ??= setTimeout(() => this.#rejectLate(), timeoutMs);
      const deadlineMs = performance.now() + timeoutMs;
      this.#pending.push({ isWrite: isWrite(call), deadlineMs, resolve, reject });
    });
  }

  #flush(): void {
    if (this.#outgoing.length === 0) return;
    const messages = packAll(this.#outgoing);
    this.#outgoing = [];
    for (const requests of messages) {
      const { buffer } = requests.bytes;
      const transferred = buffer.byteLength < TRANSFER_BYTES_MIN ? [] : [buffer];
      this.#thread!.postMessage(requests satisfies ToThread, transferred);
    }
  }

  #settle({ values, failures, problem }: Answers): void {
    this.#problem = problem;
    const failed = new Map(failures);
    values.forEach((value, place) => {
      const pending = this.#pending.shift()!;
      if (this.#lateCount > 0) this.#lateCount--;
      const failure = failed.get(place);
      if (failure) pending.reject(errorOf(failure));
      else pending.resolve(value);
    });
  }

  /** One timer for all: calls are answered in their order, so the oldest is late first. */
  #rejectLate(): void {
    const now = performance.now();
    for (; this.#lateCount < this.#pending.length; this.#lateCount++) {
      const { deadlineMs, isWrite, reject } = this.#pending.at(this.#lateCount);
      if (deadlineMs > now) break;
      const detail = `The session store did not answer within ${this.#options.timeoutMs} ms.`;
      reject(unavailable(detail, isWrite ? 'unknown' : 'no'));
    }
    this.#timer = undefined;
    if (this.#lateCount === this.#pending.length) return;
    const next = this.#pending.at(this.#lateCount);
    this.#timer = setTimeout(() => this.#rejectLate(), next.deadlineMs - now);
  }

  /** @throws Error if the file cannot be opened */
  async #spawn(): Promise<void> {
    const { bytesMax = BYTES_MAX } = this.#options;
    const workerData: ThreadOptions = { path: this.#path, bytesMax, known: this.#known };
    const entry = this.#options.entry ?? new URL('./thread.ts', import.meta.url);
    const thread = new Worker(entry, { workerData, execArgv: [] });
    let reason: unknown = new Error('the thread of the session store ended');
    thread.once('error', (error) => {
      reason = error;
    });
    this.#exited = new Promise((resolve) => {
      thread.once('exit', () => {
        this.#lose(thread, reason);
        resolve();
      });
    });
    await new Promise<void>((resolve, reject) => {
      thread.once('exit', () => reject(reason));
      thread.on('message', (message: FromThread) => {
        if ('values' in message) this.#settle(message);
        else if (message.refusal !== undefined) reason = new Error(message.refusal);
        else {
          this.#known = message.identity;
          this.#use(thread);
          resolve();
        }
      });
    });
  }

  #use(thread: Worker): void {
    this.#thread = thread;
    if (this.#state === 'closed') thread.postMessage('close' satisfies ToThread);
    else this.#state = 'up';
  }

  #lose(thread: Worker, reason: unknown): void {
    if (thread !== this.#thread) return;
    this.#thread = undefined;
    const notSent = this.#outgoing.length;
    this.#outgoing = [];
    for (let pending = this.#pending.shift(); pending; pending = this.#pending.shift()) {
      const applied = pending.isWrite && this.#pending.length >= notSent ? 'unknown' : 'no';
      pending.reject(unavailable('The thread of the session store ended.', applied));
    }
    this.#lateCount = 0;
    this.#problem = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#state === 'closed') return;
    this.#state = 'down';
    this.#options.onLost?.(reason);
    void this.#respawn(0);
  }

  async #respawn(delayMs: number): Promise<void> {
    await sleep(delayMs, undefined, { ref: false });
    if (this.#state === 'closed') return;
    await this.#spawn().catch(() =>
      this.#respawn(Math.min(RESTART_DELAY_MS_MAX, Math.max(50, delayMs * 2))),
    );
  }
}

function partsOf({ head, slots }: RecordParts): Part[] {
  return [[HEAD, head], ...slots];
}

function errorOf({ code, detail, applied }: Failure): CarryoverError {
  return new CarryoverError(code, { detail, applied });
}

function unavailable(detail: string, applied: Applied): CarryoverError {
  return new CarryoverError('store_unavailable', { detail, applied });
}
