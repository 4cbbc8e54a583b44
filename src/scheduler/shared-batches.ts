// Steps of several requests with one model, computed as one mini-batch: the weights are then read once for all of them.
//
// There is no timer: a step that finds a worker free is dispatched at once. While as many batches of a model are computed
// as there are workers, further steps of that model wait in the queue, and those that wait when one is done form the next.
// Each keeps its own place in the queue, its deadline and its client until then: one that is cancelled or refused is not in
// the batch. The rows are copied into a job of their own, so what fails there has changed nothing of the requests.
import type { Cost, Costs } from './costs.ts';
import type { Part } from './part.ts';
import type { SharedStep } from './shared-step.ts';

export interface SharedBatchesOptions {
  /** Most rows of a batch; with 1 nothing is shared. */
  readonly rowsMax: number;
  /** Most time that a batch of several requests should take, so that other work is not kept waiting. */
  readonly msMax: number;
  readonly costs: Costs;
}

/** What one row of many costs is estimated of a batch of so many rows. */
const TYPICAL_ROWS = 16;

export class SharedBatches {
  readonly #options: SharedBatchesOptions;
  /** How many batches of each model are at the workers. */
  readonly #running = new Map<object, number>();
  /** Steps that were in a batch with others, since the start, and these batches. */
  readonly counts = { steps: 0, batches: 0 };

  constructor(options: SharedBatchesOptions) {
    this.#options = options;
  }

  /** To be called when a batch of so many steps was computed. */
  count(steps: number): void {
    this.counts.steps += steps;
    this.counts.batches++;
  }

  /** How many rows a batch may have: rowsMax, or less if so many would take longer than msMax. */
  rowsMaxOf(costOf: (rows: number) => Cost): number {
    const { rowsMax, msMax, costs } = this.#options;
    let rows = rowsMax;
    while (rows > 1 && costs.msOf(costOf(rows)) > msMax) rows = Math.floor(rows / 2);
    return rows;
  }

  /** Whether steps of this size are shared at all: another one must find room in a batch, and larger ones gain nothing by it. */
  takes({ rows }: SharedStep): boolean {
    return 2 * rows <= this.#options.rowsMax && rows <= TYPICAL_ROWS;
  }

  /** What a step adds to a batch in ms, if others of its model are computed now; undefined if none are. */
  addedMsOf(step: SharedStep): number | undefined {
    if (!this.#running.has(step.model)) return undefined;
    return (this.#options.costs.msOf(step.costOf(TYPICAL_ROWS)) * step.rows) / TYPICAL_ROWS;
  }

  /** Whether a step has to wait for a batch of its model. */
  mustWait({ model }: SharedStep, workers: number): boolean {
    return (this.#running.get(model) ?? 0) >= workers;
  }

  /** `first` and the steps of its model that are queued, in their order, as many as a batch may have. */
  choose(first: Part, queued: Iterable<Part>): Part[] {
    const { rowsMax, msMax, costs } = this.#options;
    const step = first.step!;
    const chosen = [first];
    if (first.isAlone) return chosen;
    let { rows } = step;
    for (const part of queued) {
      const other = part.step;
      if (part === first || other?.model !== step.model || part.isAlone || !part.hasMore) continue;
      if (rows + other.rows > rowsMax || costs.msOf(step.costOf(rows + other.rows)) > msMax) break;
      rows += other.rows;
      chosen.push(part);
    }
    return chosen;
  }

  /** To be called when a batch is dispatched; ended() when it was computed, or was not. */
  begun({ model }: SharedStep): void {
    this.#running.set(model, (this.#running.get(model) ?? 0) + 1);
  }

  ended({ model }: SharedStep): void {
    const count = this.#running.get(model)! - 1;
    if (count === 0) this.#running.delete(model);
    else this.#running.set(model, count);
  }
}
