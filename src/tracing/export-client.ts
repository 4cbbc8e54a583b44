// The main thread's side of the thread that exports spans: sends it what was traced, bounds what waits there, and starts it
// again when it has ended.
//
//   main thread                                thread (export-thread/thread.ts)
//   spans of what has ended  ── a batch ──►    batches, which wait to be sent to the collector
//   how many still wait      ◄── a count ──    some were sent, or lost
//
// A collector that is slow or absent costs spans, never requests; the log says once that it is, and once that it is back.
import { Worker } from 'node:worker_threads';
import type { FromThread, ThreadOptions, ToThread } from './messages.ts';
import type { SpanListener } from './span-outcomes.ts';
import { SpanBatch } from './span-batch.ts';

export interface ExportClientOptions {
  /** Of the collector, without `v1/traces`. */
  readonly endpoint: string;
  readonly version: string;
  /** How long spans are collected until they are sent. */
  readonly delayMs: number;
  /** About the most spans that wait to be sent, 100 to 300 bytes each; others are dropped. */
  readonly queueMax: number;
  /** Called when spans are lost. Not again before onRestored was. */
  readonly onLost: (reason: string) => void;
  readonly onRestored: () => void;
  /** Undefined if nobody counts them. */
  readonly onSpans?: SpanListener | undefined;
  /** The module that the thread runs; tests replace it. */
  readonly entry?: URL | undefined;
}

/** A batch is sent when it has this many spans. */
const BATCH_SPANS = 1_024;
/** Most memory of the thread's values, in MiB. Spans are not among them: they are bytes outside of the heap. */
const HEAP_MIB_MAX = 48;
/** How long after its end the thread is started again. */
const RESTART_MS = 1_000;
/** How long the end of the process waits for the thread, which itself waits less. */
const CLOSE_MS_MAX = 2_500;

export class ExportClient {
  readonly #options: ExportClientOptions;
  readonly #batch = new SpanBatch();
  /** Undefined from its end until it is started again. */
  #thread: Worker | undefined;
  /** Resolves when the thread that was started last has ended. */
  #exited: Promise<void> = Promise.resolve();
  /** Spans that were sent to the thread, and neither exported nor lost yet. */
  #waiting = 0;
  #batchTimer: NodeJS.Timeout | undefined;
  #restartTimer: NodeJS.Timeout | undefined;
  #isFailing = false;
  #isClosed = false;

  constructor(options: ExportClientOptions) {
    this.#options = options;
    this.#start();
  }

  /** Adds what `write` writes, as long as there is room. Never waits, and never throws. @param spans that it has */
  add(spans: number, write: (batch: SpanBatch) => void): void {
    const batch = this.#batch;
    if (!this.#thread || this.#isClosed || this.#waiting + batch.count >= this.#options.queueMax) {
      this.#options.onSpans?.('dropped', spans);
      return;
    }
    write(batch);
    if (batch.count >= BATCH_SPANS) this.#send();
    else this.#batchTimer ??= setTimeout(() => this.#send(), this.#options.delayMs);
  }

  /** Sends what waits, for as long as there is time. What is added later is dropped. */
  async close(): Promise<void> {
    this.#send();
    this.#isClosed = true;
    clearTimeout(this.#restartTimer);
    const thread = this.#thread;
    if (!thread) return;
    post(thread, { isLast: true });
    const timer = setTimeout(() => void thread.terminate(), CLOSE_MS_MAX);
    await this.#exited;
    clearTimeout(timer);
  }

  #start(): void {
    const { endpoint, version, entry = new URL('./export-thread/thread.ts', import.meta.url) } = this.#options;
    const workerData: ThreadOptions = { endpoint, version };
    const resourceLimits = { maxOldGenerationSizeMb: HEAP_MIB_MAX, maxYoungGenerationSizeMb: 16 };
    const thread = new Worker(entry, { workerData, execArgv: [], resourceLimits });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#exited = promise;
    this.#thread = thread;
    let reason = 'the thread that exports them ended';
    thread.on('message', ({ spans, error }: FromThread) => this.#settle(spans, error));
    thread.once('error', ({ message }: Error) => {
      reason = message;
    });
    thread.once('exit', () => {
      this.#thread = undefined;
      resolve();
      if (this.#waiting > 0) this.#settle(this.#waiting, reason);
      if (!this.#isClosed) this.#restartTimer = setTimeout(() => this.#start(), RESTART_MS);
    });
  }

  #send(): void {
    clearTimeout(this.#batchTimer);
    this.#batchTimer = undefined;
    if (this.#batch.count === 0) return;
    const spans = this.#batch.take();
    if (!this.#thread) return this.#options.onSpans?.('dropped', spans.count);
    this.#waiting += spans.count;
    post(this.#thread, { spans });
    return undefined;
  }

  #settle(spans: number, error: string | undefined): void {
    const { onSpans, onLost, onRestored } = this.#options;
    this.#waiting -= spans;
    onSpans?.(error === undefined ? 'exported' : 'failed', spans);
    if (error !== undefined && !this.#isFailing) onLost(error);
    if (error === undefined && this.#isFailing) onRestored();
    this.#isFailing = error !== undefined;
  }
}

function post(thread: Worker, message: ToThread): void {
  thread.postMessage(message, 'spans' in message ? [message.spans.bytes.buffer] : []);
}
