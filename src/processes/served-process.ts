// One of the processes that serve, as the primary sees it.
import type { Worker } from 'node:cluster';
import type { Listening } from '../announce.ts';
import type { Snapshot } from '../metrics/exposition.ts';
import type { FromProcess, ToProcess } from './messages.ts';
import { closeUnclaimed } from './unclaimed-connection.ts';

/** How often each process is asked. */
export const ASK_MS = 250;
/** As many questions without an answer: it does not serve. */
const SILENT_ASKS = 20;
/** So many: it is not expected to serve again. */
const HUNG_ASKS = 120;
/** How long a scrape waits for a process. */
const MEASURE_MS_MAX = 2_000;

/** How a process ended: with a code, or by a signal. */
export interface End {
  readonly code: number | null;
  readonly signal: string | null;
}

export interface ServedProcessListener {
  /** It takes connections from now on. */
  onListening(process: ServedProcess, listening: Listening): void;
  onEnd(process: ServedProcess, end: End): void;
}

export class ServedProcess {
  /** The port that it was told, if that is not the configured one. */
  readonly port: number | undefined;
  readonly #worker: Worker;
  readonly #listener: ServedProcessListener;
  #isListening = false;
  #problems: readonly string[] = [];
  #unanswered = 0;
  #snapshot: Snapshot = [];
  #measureId = 0;
  #measuredId: number | undefined = 0;
  #onMeasured = () => {};
  /** Both are waited for: a message may arrive after the process has exited. */
  #end: End | undefined;
  #isDisconnected = false;

  constructor(worker: Worker, listener: ServedProcessListener, port: number | undefined) {
    this.port = port;
    this.#worker = worker;
    this.#listener = listener;
    closeUnclaimed(worker.process);
    worker.on('message', (message: FromProcess) => this.#receive(message));
    // As when it cannot be started.
    worker.on('error', () => {});
    worker.once('disconnect', () => {
      this.#isDisconnected = true;
      this.#finish();
    });
    worker.once('exit', (code: number | null, signal: string | null) => {
      this.#end = { code, signal };
      this.#finish();
    });
  }

  get pid(): number | undefined {
    return this.#worker.process.pid;
  }

  /** Whether it takes connections, or did until it began to end. */
  get isListening(): boolean {
    return this.#isListening;
  }

  /** Why it is not ready. */
  get problems(): readonly string[] {
    return this.#unanswered > SILENT_ASKS ? ['one of the processes does not answer'] : this.#problems;
  }

  get isHung(): boolean {
    return this.#unanswered > HUNG_ASKS;
  }

  /** What it has counted, as it was sent last. */
  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  /** Whether that answers the last measure(), or is its last word. */
  get isFresh(): boolean {
    return this.#measuredId === undefined || this.#measuredId === this.#measureId;
  }

  ask(problemsOfOthers: readonly string[]): void {
    this.#unanswered++;
    this.send({ type: 'ask', problemsOfOthers });
  }

  /** Resolves when it has sent what it has counted, or has not in time. */
  async measure(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onMeasured = resolve;
    this.send({ type: 'measure', id: ++this.#measureId });
    const timer = setTimeout(resolve, MEASURE_MS_MAX);
    await promise;
    clearTimeout(timer);
  }

  send(message: ToProcess): void {
    // The error of one that ends meanwhile is nobody's concern: that it has ended is noticed.
    if (this.#worker.isConnected()) this.#worker.process.send(message, () => {});
  }

  /** SIGKILL */
  kill(): void {
    this.#worker.process.kill('SIGKILL');
  }

  #receive(message: FromProcess): void {
    if (message.type === 'listening') {
      this.#isListening = true;
      this.#listener.onListening(this, message.listening);
    } else if (message.type === 'problems') {
      this.#unanswered = 0;
      this.#problems = message.problems;
    } else {
      this.#snapshot = message.snapshot;
      this.#measuredId = message.id;
      this.#onMeasured();
    }
  }

  #finish(): void {
    if (!this.#end || !this.#isDisconnected) return;
    this.#onMeasured();
    this.#listener.onEnd(this, this.#end);
  }
}
