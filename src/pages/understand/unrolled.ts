// The network over time: its first state, the inputs that it has read, and all steps as the service has computed them.
import { CELLS } from './cells.ts';
import { type Matrix, type Place, withValue, zeros } from './matrix.ts';
import type { Network } from './network.ts';
import { SERIES, type SeriesName } from './series.ts';
import type { State, Step } from './steps.ts';

/** Steps that are kept, all with their trace: 30 MB at N = 8 and H = 64. */
export const STEPS_MAX = 2000;
/** The tensors that a person may change. */
export type Editable = 'x' | 'h' | 'c' | 'W_x' | 'W_h' | 'b';
/** The steps that read `xs` from a state on. @throws CarryoverError, or the reason of the signal */
export type ComputeSteps = (network: Network, from: State, xs: readonly Matrix[], signal: AbortSignal) => Promise<Step[]>;

export class Unrolled {
  #network: Network;
  #start: State;
  #steps: Step[] = [];
  /** Steps that are computed and not yet taken. */
  #ahead: Step[] = [];
  readonly #compute: ComputeSteps;
  /** The input of the steps to come. */
  series: SeriesName = 'sine';
  seed: number;

  constructor(compute: ComputeSteps, network: Network, seed: number) {
    this.#compute = compute;
    this.#network = network;
    this.#start = emptyState(network);
    this.seed = seed;
  }

  get network(): Network {
    return this.#network;
  }

  /** Before the first step. */
  get start(): State {
    return this.#start;
  }

  get steps(): readonly Step[] {
    return this.#steps;
  }

  /** Computed, and not yet taken. */
  get aheadCount(): number {
    return this.#ahead.length;
  }

  /** From h = 0 on, with inputs of the series. @throws CarryoverError, and nothing has changed; or the reason of the signal */
  async begin(network: Network, count: number, signal: AbortSignal): Promise<void> {
    const xs: Matrix[] = [];
    for (let t = 1; t <= count; t++) xs.push(this.#inputOf(network, t, xs.at(-1)));
    await this.#replace(network, emptyState(network), [], xs, signal);
  }

  /** The same inputs through other weights. @throws as begin() */
  async reweigh(network: Network, signal: AbortSignal): Promise<void> {
    await this.#replace(network, this.#start, [], this.#steps.map(({ x }) => x), signal);
  }

  /**
   * Changes one number of a step, and computes all that follows from it. A changed weight is that of all steps. With another
   * state before it, a step is the first.
   *
   * @returns the index that the step has then
   * @throws as begin()
   */
  async edit(index: number, tensor: Editable, { row, column }: Place, value: number, signal: AbortSignal): Promise<number> {
    const network = this.#network;
    const { x, before } = this.#steps[index]!;
    const later = this.#steps.slice(index).map((step) => step.x);
    if (tensor === 'x') {
      await this.#replace(network, this.#start, this.#steps.slice(0, index), [withValue(x, row, column, value), ...later.slice(1)], signal);
      return index;
    }
    if (tensor === 'h' || tensor === 'c') {
      await this.#replace(network, { ...before, [tensor]: withValue(before[tensor]!, row, column, value) }, [], later, signal);
      return 0;
    }
    await this.reweigh({ ...network, [tensor]: withValue(network[tensor], row, column, value) }, signal);
    return index;
  }

  /** Computes steps that take() gives later. @throws as begin() */
  async fetch(count: number, signal: AbortSignal): Promise<void> {
    const xs: Matrix[] = [];
    const done = this.#steps.length + this.#ahead.length;
    const last = this.#ahead.at(-1) ?? this.#steps.at(-1);
    for (let k = 1; k <= Math.min(count, STEPS_MAX - done); k++) xs.push(this.#inputOf(this.#network, done + k, xs.at(-1) ?? last?.x));
    const current = this.#steps;
    const isEnd = () => this.#steps === current && (this.#ahead.at(-1) ?? this.#steps.at(-1)) === last;
    const steps = await this.#compute(this.#network, last?.after ?? this.#start, xs, signal);
    signal.throwIfAborted();
    // Steps that do not continue the ones that are there by now are dropped.
    if (isEnd()) this.#ahead.push(...steps);
  }

  /** Makes a step that was computed before the last one. @returns whether there was one */
  take(): boolean {
    const step = this.#ahead.shift();
    if (step) this.#steps.push(step);
    return step !== undefined;
  }

  /** Forgets what take() would give, as the input of the next steps is another. */
  dropAhead(): void {
    this.#ahead = [];
  }

  async #replace(network: Network, start: State, kept: readonly Step[], xs: readonly Matrix[], signal: AbortSignal): Promise<void> {
    const steps = await this.#compute(network, kept.at(-1)?.after ?? start, xs, signal);
    signal.throwIfAborted();
    this.#network = network;
    this.#start = start;
    this.#steps = [...kept, ...steps];
    this.#ahead = [];
  }

  #inputOf(network: Network, t: number, last: Matrix | undefined): Matrix {
    return SERIES[this.series](network, t, last, this.seed);
  }
}

function emptyState({ cell, N, H }: Network): State {
  return { h: zeros(N, H), c: CELLS[cell].hasCellState ? zeros(N, H) : undefined };
}
