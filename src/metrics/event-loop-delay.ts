// How late the event loop is, as quantiles over the last ten seconds or longer, whoever scrapes how often.
import { monitorEventLoopDelay } from 'node:perf_hooks';

/** The monitor wakes up this often, and records the time from one waking to the next. */
const RESOLUTION_MS = 10;
const WINDOW_MS_MIN = 10_000;
const NS_PER_S = 1e9;

export class EventLoopDelay {
  readonly #histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #sinceMs = performance.now();

  constructor() {
    this.#histogram.enable();
  }

  /** The quantile 0 < q ≤ 1 of the delay in seconds; undefined as long as nothing was recorded. */
  quantile(q: number): number | undefined {
    if (this.#histogram.count === 0) return undefined;
    const ns = this.#histogram.percentile(100 * q);
    return Math.max(0, ns / NS_PER_S - RESOLUTION_MS / 1_000);
  }

  /** To be called after a scrape: begins a new window if this one is long enough. */
  renew(): void {
    const nowMs = performance.now();
    if (nowMs - this.#sinceMs < WINDOW_MS_MIN) return;
    this.#sinceMs = nowMs;
    this.#histogram.reset();
  }

  close(): void {
    this.#histogram.disable();
  }
}
