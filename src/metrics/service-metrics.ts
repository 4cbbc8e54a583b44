// The metrics of the service. app.ts creates them before the parts, passes each part what it reports to, and at last
// watch() what is read from the parts when it is scraped.
import type { HttpLoad, HttpObserver } from '../http/http.ts';
import { LIMIT_KINDS, type LimitedListener } from '../limits/tenant-usage.ts';
import type { SessionObserver } from '../sessions/session-observer.ts';
import type { StoreCallListener } from '../store/observed.ts';
import { SPAN_OUTCOMES, type SpanListener } from '../tracing/span-outcomes.ts';
import { METRICS } from './catalogue.ts';
import { EventLoopDelay } from './event-loop-delay.ts';
import { Exposition, type Snapshot } from './exposition.ts';
import { type MakeBackup, MetricsServer } from './metrics-server.ts';
import { Rarely } from './rarely.ts';
import { RequestMetrics } from './request-metrics.ts';
import { sessionMetrics } from './session-metrics.ts';
import { importMetrics, storeMetrics } from './store-metrics.ts';

/** What the parts know of themselves at any moment. */
export interface WatchedParts {
  readonly http: HttpLoad;
  readonly scheduler: { readonly waitingCount: number; readonly shared: { readonly counts: { readonly steps: number; readonly batches: number } } };
  readonly pool: { readonly readyCount: number; readonly idleCount: number; readonly lostCount: number };
  readonly memory: { readonly bytesUsed: number; readonly bytesGrown: number; readonly bytesMax: number };
  readonly registry: { readonly count: number; readonly bytes: number };
  readonly weightsCache: { readonly bytes: number };
  readonly store: { count(): Promise<number> };
}

/** Counting the sessions of a store may take long. */
const SESSIONS_COUNTED_MS = 5_000;

export class ServiceMetrics {
  readonly http: HttpObserver;
  readonly sessions: SessionObserver;
  readonly onStoreCall: StoreCallListener;
  readonly onLimited: LimitedListener;
  readonly onSpans: SpanListener;
  readonly #exposition = new Exposition();
  readonly #delay = new EventLoopDelay();
  readonly #server = new MetricsServer(this);
  #scrapeMs: number | undefined;

  constructor() {
    const exposition = this.#exposition;
    const { onRequestEnd, onMessageEnd } = new RequestMetrics(exposition);
    this.http = { onRequestEnd, onMessageEnd, onImport: importMetrics(exposition) };
    this.sessions = sessionMetrics(exposition);
    this.onStoreCall = storeMetrics(exposition);
    const limited = exposition.counter(METRICS.limited);
    for (const limit of LIMIT_KINDS) limited.of(limit);
    this.onLimited = (limit) => limited.of(limit).add();
    const spans = exposition.counter(METRICS.spans);
    for (const outcome of SPAN_OUTCOMES) spans.of(outcome);
    this.onSpans = (outcome, count) => spans.of(outcome).add(count);
    const delay = this.#delay;
    exposition.read(METRICS.eventLoopDelay, {
      '0.5': () => delay.quantile(0.5),
      '0.9': () => delay.quantile(0.9),
      '0.99': () => delay.quantile(0.99),
      '1': () => delay.quantile(1),
    });
    exposition.read(METRICS.processes, () => 1);
    // Counted by who replaces them; see whole-metrics.ts.
    exposition.read(METRICS.processRestarts, () => 0);
    exposition.read(METRICS.scrapeSeconds, () => this.#scrapeMs && this.#scrapeMs / 1_000);
    exposition.addProcessMetrics();
  }

  /** From now on the parts are read at every scrape. */
  watch({ http, scheduler, pool, memory, registry, weightsCache, store }: WatchedParts): void {
    const exposition = this.#exposition;
    const sessions = new Rarely(SESSIONS_COUNTED_MS, () => store.count());
    exposition.read(METRICS.queuedJobs, () => scheduler.waitingCount);
    exposition.read(METRICS.sharedSteps, () => scheduler.shared.counts.steps);
    exposition.read(METRICS.sharedBatches, () => scheduler.shared.counts.batches);
    exposition.read(METRICS.busyWorkers, () => pool.readyCount - pool.idleCount);
    exposition.read(METRICS.readyWorkers, () => pool.readyCount);
    exposition.read(METRICS.workerRestarts, () => pool.lostCount);
    exposition.read(METRICS.connections, () => http.connections);
    exposition.read(METRICS.streams, () => http.streams);
    exposition.read(METRICS.sockets, () => http.sockets);
    exposition.read(METRICS.bodyBytes, () => http.bodiesBytes);
    exposition.read(METRICS.bodyBytesMax, () => http.bodiesBytesMax);
    exposition.read(METRICS.models, () => registry.count);
    exposition.read(METRICS.modelBytes, { registered: () => registry.bytes, cached: () => weightsCache.bytes });
    exposition.read(METRICS.memory, {
      used: () => memory.bytesUsed,
      grown: () => memory.bytesGrown,
      limit: () => memory.bytesMax,
    });
    exposition.read(METRICS.sessionsActive, () => sessions.value());
  }

  /** From now on `POST /backup` is answered. */
  serveBackups(makeBackup: MakeBackup): void {
    this.#server.makeBackup = makeBackup;
  }

  get contentType(): string {
    return this.#exposition.contentType;
  }

  /** All metrics as text. */
  print(): Promise<string> {
    return this.#scrape(() => this.#exposition.print());
  }

  /** The same, to be added to those of other processes. */
  snapshot(): Promise<Snapshot> {
    return this.#scrape(() => this.#exposition.snapshot());
  }

  async #scrape<Result>(read: () => Promise<Result>): Promise<Result> {
    const startMs = performance.now();
    const result = await read();
    this.#scrapeMs = performance.now() - startMs;
    this.#delay.renew();
    return result;
  }

  /** @throws the system's error, as EADDRINUSE */
  listen(host: string, port: number): Promise<void> {
    return this.#server.listen(host, port);
  }

  async close(): Promise<void> {
    await this.#server.close();
    this.#delay.close();
  }
}
