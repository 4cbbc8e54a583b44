// What a step has to offer so that it can be computed together with others; see shared-batches.ts.
import type { Cost } from './costs.ts';

/** A step that can be computed as rows of one mini-batch with others. */
export interface SharedStep {
  /** Steps with the same can be computed together: the packed model. */
  readonly model: object;
  /** N. */
  readonly rows: number;
  /** What a mini-batch of so many rows costs. */
  costOf(rows: number): Cost;
  /** A job that computes itself and others of the same model. @throws memory_full */
  join(others: readonly SharedStep[]): SharedJob;
}

export interface SharedJob {
  /** Address of its record. */
  readonly ptr: number;
  readonly cost: Cost;
  /** Copies the results to the steps. To be called when it was computed, before release(). */
  deliver(): void;
  /** Frees its memory. */
  release(): void;
}
