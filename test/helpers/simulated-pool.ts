// Workers that compute nothing and take the time that their jobs say, by the fake clock of a test.
import type { JobOutcome } from '../../src/pool/pool-worker.ts';
import type { Pool } from '../../src/pool/pool.ts';
import type { Scheduler, Work } from '../../src/scheduler/scheduler.ts';

interface Given {
  readonly ptr: number;
  readonly estimateMs: number;
  readonly settle: (outcome: JobOutcome) => void;
}

/** What the jobs at addresses take. */
const tookMs = new Map<number, number>();
let addresses = 0;

function jobOf(ms: number): number {
  tookMs.set(++addresses, ms);
  return addresses;
}

/** @param ms what it takes a worker; at a speed of 1 flop a ms that is also what is estimated */
export function workOf(ms: number, options: Partial<Work> = {}): Work {
  return {
    flops: ms,
    partsMax: 1,
    split: () => [jobOf(ms)],
    slice: () => {
      let left = 1;
      const slices = {
        get isDone() {
          return left < 1e-9;
        },
        next: (wanted: number) => {
          const share = Math.min(left, wanted);
          left -= share;
          return { ptr: jobOf(ms * share), share };
        },
      };
      return [slices];
    },
    ...options,
  };
}

export class SimulatedWorker {
  readonly given: Given[] = [];
  isHeld = false;
  readonly #onIdle: () => void;
  readonly #slowness: () => number;

  constructor(slowness: () => number, onIdle: () => void) {
    this.#slowness = slowness;
    this.#onIdle = onIdle;
  }

  get acceptsJobs(): boolean {
    return this.given.length < 8;
  }

  backlogMs(): number {
    return this.given.reduce((sum, { estimateMs }) => sum + estimateMs, 0);
  }

  run(ptr: number, estimateMs: number, settle: (outcome: JobOutcome) => void): void {
    this.given.push({ ptr, estimateMs, settle });
    if (this.given.length === 1) this.#begin();
  }

  /** As when it is lost: what it computes fails, what waits behind that was not started. */
  lose(error: JobOutcome): void {
    const given = this.given.splice(0);
    given.forEach(({ settle }, i) => settle(i === 0 ? error : 'not started'));
  }

  #begin(): void {
    const job = this.given[0];
    if (!job || this.isHeld) return;
    const ms = tookMs.get(job.ptr)! * this.#slowness();
    setTimeout(() => {
      if (this.given[0] !== job) return;
      this.given.shift();
      job.settle(ms);
      this.#begin();
      this.#onIdle();
    }, ms);
  }
}

export class SimulatedPool {
  readonly workers: SimulatedWorker[];
  scheduler: Scheduler | undefined;

  /** @param slowness how many times as long all jobs take at the moment */
  constructor(count: number, slowness: () => number = () => 1) {
    const onIdle = () => this.scheduler?.dispatch();
    this.workers = Array.from({ length: count }, () => new SimulatedWorker(slowness, onIdle));
  }

  get asPool(): Pool {
    return this as unknown as Pool;
  }

  get readyCount(): number {
    return this.workers.length;
  }

  get idleCount(): number {
    return this.workers.filter(({ given }) => given.length === 0).length;
  }

  available(backlogMsMax: number): SimulatedWorker | undefined {
    const free = this.workers.filter((worker) => worker.acceptsJobs && (worker.backlogMs() < backlogMsMax || worker.given.length === 0));
    return free.toSorted((a, b) => a.backlogMs() - b.backlogMs())[0];
  }
}
