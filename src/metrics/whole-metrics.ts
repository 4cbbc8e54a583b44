// The metrics of several processes as one text: counters and histograms are those of all of them, the ended ones too, so
// that a sum never falls when a process is replaced; gauges are those of the processes that answer now.
import { METRICS } from './catalogue.ts';
import { Exposition, type Snapshot, printTogether, together } from './exposition.ts';
import { type MakeBackup, MetricsServer, type PrintedMetrics } from './metrics-server.ts';

export type { Snapshot };

export interface MeasuredProcess {
  /** The last one that it has sent. */
  readonly snapshot: Snapshot;
  /** Whether it has answered when it was asked last. */
  readonly isFresh: boolean;
}

export interface MeasuredProcesses {
  /** Asks all for a snapshot, and resolves when they have sent it or did not in time. */
  measure(): Promise<void>;
  /** Those that have not ended. */
  measured(): readonly MeasuredProcess[];
  readonly restarts: number;
}

export class WholeMetrics implements PrintedMetrics {
  /** Of the process that starts the others. */
  readonly #own = new Exposition();
  readonly #processes: MeasuredProcesses;
  readonly #server: MetricsServer;
  #ended: Snapshot = [];
  #scrapeMs: number | undefined;
  #running: Promise<string> | undefined;

  constructor(processes: MeasuredProcesses, makeBackup: MakeBackup) {
    this.#processes = processes;
    this.#own.addProcessMetrics();
    this.#own.read(METRICS.processRestarts, () => processes.restarts);
    this.#own.read(METRICS.scrapeSeconds, () => this.#scrapeMs && this.#scrapeMs / 1_000);
    this.#server = new MetricsServer(this);
    this.#server.makeBackup = makeBackup;
  }

  get contentType(): string {
    return this.#own.contentType;
  }

  /** Whoever asks while it is printed gets the same text. */
  print(): Promise<string> {
    this.#running ??= this.#print().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Adds what was counted in a process that has ended. */
  addEnded(snapshot: Snapshot): void {
    this.#ended = together([this.#ended, sumsOf(snapshot)]);
  }

  /** @throws the system's error, as EADDRINUSE */
  listen(host: string, port: number): Promise<void> {
    return this.#server.listen(host, port);
  }

  close(): Promise<void> {
    return this.#server.close();
  }

  async #print(): Promise<string> {
    const startMs = performance.now();
    const [own] = await Promise.all([this.#own.snapshot(), this.#processes.measure()]);
    // All at one moment: a process is either here or among those that have ended.
    const present = this.#processes.measured().map(({ snapshot, isFresh }) => (isFresh ? snapshot : sumsOf(snapshot)));
    const text = await printTogether([...present, own, this.#ended]);
    this.#scrapeMs = performance.now() - startMs;
    return text;
  }
}

/** Without gauges, which say how something is now. */
function sumsOf(snapshot: Snapshot): Snapshot {
  return snapshot.filter(({ type }) => type !== 'gauge');
}
