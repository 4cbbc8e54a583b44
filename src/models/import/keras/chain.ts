// The layers found so far, and what the next one reads.
import type { FoundFile } from '../found-file.ts';
import type { FoundDense, FoundLayer } from '../layer.ts';
import { titleOf } from './errors.ts';
import type { KerasLayer } from './keras-layer.ts';

export class Chain {
  readonly #layers: FoundLayer[] = [];
  readonly #notes: string[] = [];
  /** Axes of what the next layer reads: 3 for sequences, 2 for steps or row numbers. Undefined if the file does not say. */
  rank: number | undefined;
  /** Steps, if the file fixes them. */
  steps: number | undefined;
  /** The size of the last axis. */
  features: number | undefined;
  /** Whether the steps come in the order of time, or from the last to the first. */
  isReversed = false;
  /** Behind it are no sequences, as it returns its last step alone. */
  lastStepOf: KerasLayer | undefined;
  /** The layer that reversed the steps. */
  reversedBy: KerasLayer | undefined;

  get isEmpty(): boolean {
    return this.#layers.length === 0;
  }

  add(layer: FoundLayer): void {
    this.#layers.push(layer);
  }

  note(layer: KerasLayer, what: string): void {
    this.#notes.push(`${titleOf(layer)} ${what}`);
  }

  /** The layer before, if it is linear and dense: an activation behind it becomes its own. */
  get linearDense(): FoundDense | undefined {
    const last = this.#layers.at(-1);
    return last?.type === 'dense' && last.activation === 'linear' ? last : undefined;
  }

  replaceLast(layer: FoundLayer): void {
    this.#layers[this.#layers.length - 1] = layer;
  }

  found(): FoundFile {
    const { reversedBy } = this;
    if (this.isReversed && !this.lastStepOf && reversedBy) {
      this.note(reversedBy, 'returns its steps from the last to the first; the service returns them in the order of time.');
    }
    return { layers: this.#layers, notes: this.#notes };
  }
}
