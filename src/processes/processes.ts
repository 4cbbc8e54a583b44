// The processes that serve: started, asked how they are, replaced when they end, and closed together.
import type { Listening } from '../announce.ts';
import type { MeasuredProcess, MeasuredProcesses, Snapshot } from '../metrics/whole-metrics.ts';
import { RestartDelay } from './restart-delay.ts';
import { ASK_MS, type End, ServedProcess, type ServedProcessListener } from './served-process.ts';

export interface ProcessesOptions {
  readonly count: number;
  /** @param port in place of the configured one */
  readonly start: (listener: ServedProcessListener, port: number | undefined) => ServedProcess;
  /** Called with what a process that has ended had counted. */
  readonly onCounted: (snapshot: Snapshot) => void;
  /** None serves, and none can be started: called with the exit code of the last. */
  readonly onLost: (code: number) => void;
  readonly log: {
    info(fields: object, text: string): void;
    error(fields: object, text: string): void;
  };
}

/** Starts in a row that fail while no process serves, until there is no hope. They take about half a minute. */
const FAILED_STARTS_MAX = 8;

/** A process ended before all had been started. */
export class StartError extends Error {
  readonly exitCode: number;

  constructor({ code, signal }: End) {
    super(`a process ended before it served, with ${signal ?? `exit code ${code}`}`);
    // It has said on stderr what is wrong.
    this.exitCode = code || 1;
  }
}

export class Processes implements MeasuredProcesses, ServedProcessListener {
  readonly #options: ProcessesOptions;
  readonly #all = new Set<ServedProcess>();
  readonly #delay = new RestartDelay();
  readonly #replacing = new Set<NodeJS.Timeout>();
  #asking: NodeJS.Timeout | undefined;
  #started: PromiseWithResolvers<Listening> | undefined = Promise.withResolvers<Listening>();
  #first: Listening | undefined;
  #failedStarts = 0;
  #closed: PromiseWithResolvers<boolean> | undefined;
  #haveAllEndedWell = true;
  #restarts = 0;

  constructor(options: ProcessesOptions) {
    this.#options = options;
  }

  /**
   * Starts the first one, and when it takes connections, the others: what is wrong with the configuration is said once.
   * Resolves when all take connections.
   *
   * @throws StartError
   */
  start(): Promise<Listening> {
    this.#asking = setInterval(() => this.#askAll(), ASK_MS);
    this.#startOne();
    return this.#started!.promise;
  }

  get restarts(): number {
    return this.#restarts;
  }

  async measure(): Promise<void> {
    await Promise.all(Array.from(this.#all, (one) => one.measure()));
  }

  measured(): readonly MeasuredProcess[] {
    return [...this.#all];
  }

  /** Each reads its certificate again. */
  reload(): void {
    for (const one of this.#all) one.send({ type: 'reload' });
  }

  /** Ends all, each as on SIGTERM. @returns whether each has ended with exit code 0 */
  close(): Promise<boolean> {
    this.#closed ??= Promise.withResolvers<boolean>();
    clearInterval(this.#asking);
    for (const timer of this.#replacing) clearTimeout(timer);
    for (const one of this.#all) one.send({ type: 'close' });
    if (this.#all.size === 0) this.#closed.resolve(this.#haveAllEndedWell);
    return this.#closed.promise;
  }

  kill(): void {
    for (const one of this.#all) one.kill();
  }

  onListening(process: ServedProcess, listening: Listening): void {
    // The last one that listened by PORT=0 has ended while this one was started.
    if (this.#first && this.#first.port !== listening.port) return process.kill();
    this.#first ??= listening;
    this.#failedStarts = 0;
    const { count, log } = this.#options;
    if (!this.#started) {
      log.info({ process: process.pid }, 'a process serves in place of one that ended');
    } else if (this.#listening().length === count) {
      this.#started.resolve(this.#first);
      this.#started = undefined;
      this.#askAll();
    } else {
      while (!this.#closed && this.#all.size < count) this.#startOne();
    }
  }

  onEnd(process: ServedProcess, end: End): void {
    this.#all.delete(process);
    this.#options.onCounted(process.snapshot);
    if (this.#closed) {
      this.#haveAllEndedWell &&= end.code === 0;
      if (this.#all.size === 0) this.#closed.resolve(this.#haveAllEndedWell);
    } else if (this.#started) {
      this.#started.reject(new StartError(end));
    } else {
      this.#replace(process, end);
    }
  }

  #startOne(): void {
    // PORT=0 means the port of those that listen by it, as long as there is one; after that the system would choose again.
    const [one] = this.#listening();
    this.#all.add(this.#options.start(this, one ? one.port : this.#first?.port));
  }

  #replace({ pid, isListening }: ServedProcess, { code, signal }: End): void {
    const { log, onLost } = this.#options;
    this.#failedStarts = isListening ? 0 : this.#failedStarts + 1;
    if (this.#failedStarts >= FAILED_STARTS_MAX && this.#listening().length === 0) return onLost(code || 1);
    this.#restarts++;
    const delayMs = this.#delay.next(performance.now());
    const fields = { process: pid, code: code ?? undefined, signal: signal ?? undefined, delayMs };
    if (code === 0) log.info(fields, 'a process has ended and is replaced');
    else log.error(fields, 'a process was lost and is replaced');
    const timer = setTimeout(() => {
      this.#replacing.delete(timer);
      this.#startOne();
    }, delayMs);
    this.#replacing.add(timer);
  }

  #askAll(): void {
    const listening = this.#listening();
    for (const one of listening) {
      if (one.isHung) {
        this.#options.log.error({ process: one.pid }, 'a process does not answer and is killed');
        one.kill();
      }
      one.ask(this.#started ? ['not all processes are started'] : problemsOf(listening.filter((other) => other !== one)));
    }
  }

  #listening(): readonly ServedProcess[] {
    return Array.from(this.#all).filter(({ isListening }) => isListening);
  }
}

function problemsOf(processes: readonly ServedProcess[]): readonly string[] {
  return [...new Set(processes.flatMap(({ problems }) => problems))];
}
