// A step of a request as rows of a mini-batch that it shares with other requests; see scheduler/shared-batches.ts.
import type { Cost } from '../scheduler/costs.ts';
import type { SharedJob, SharedStep } from '../scheduler/shared-step.ts';
import { costOf } from '../wasm/job-cost.ts';
import { Job, type PackedModel } from '../wasm/job.ts';
import type { LinearMemory } from '../wasm/memory.ts';

export class JobStep implements SharedStep {
  readonly model: PackedModel;
  readonly rows: number;
  readonly #memory: LinearMemory;
  readonly #job: Job;

  /** @param job of one step, whose shape.isStep is true, filled */
  constructor(memory: LinearMemory, model: PackedModel, job: Job) {
    this.model = model;
    this.rows = job.N;
    this.#memory = memory;
    this.#job = job;
  }

  costOf(rows: number): Cost {
    return costOf(this.model.layers, stepOf(rows));
  }

  join(others: readonly JobStep[]): SharedJob {
    const jobs = [this, ...others].map((step) => step.#job);
    return new JoinedJob(this.#memory, this.model, jobs);
  }
}

/** One step of all rows of several jobs; their states are copied in, and the new ones back. */
class JoinedJob implements SharedJob {
  readonly #joined: Job;
  readonly #jobs: readonly Job[];

  /** @throws memory_full */
  constructor(memory: LinearMemory, model: PackedModel, jobs: readonly Job[]) {
    this.#jobs = jobs;
    this.#joined = new Job(memory, model, stepOf(jobs.reduce((rows, { N }) => rows + N, 0)));
    this.#eachRows((job, row) => job.copyInputsTo(this.#joined, row));
  }

  get ptr(): number {
    return this.#joined.ptr;
  }

  get cost(): Cost {
    return this.#joined.cost;
  }

  deliver(): void {
    this.#eachRows((job, row) => job.copyResultsFrom(this.#joined, row));
  }

  release(): void {
    this.#joined.release();
  }

  /** @param copy called with each job and the first of its rows in the joined one */
  #eachRows(copy: (job: Job, row: number) => void): void {
    let row = 0;
    for (const job of this.#jobs) {
      copy(job, row);
      row += job.N;
    }
  }
}

/** The shape of one step of N rows of which only the states and outputs are wanted. */
export function stepOf(N: number) {
  return { T: 1, N, keepsStates: false, trace: false };
}
