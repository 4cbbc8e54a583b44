// A session that one client steps, in order: which steps it has sent, what they were answered with, and how far that is from
// the same steps as one sequence.
import { randomUUID } from 'node:crypto';
import type { Layer } from '../../src/layers.ts';
import type { SessionModel } from './models.ts';
import { type Kept, apply, firstState, outputOf } from './replay.ts';
import { type Row, bytesOf, digestOf, randomRow, zeroStates } from './states.ts';

/** A step, or a sequence of a few. */
export interface OwnStep {
  readonly session: OwnSession;
  /** Number of the call within its session. */
  readonly number: number;
  readonly xs: readonly Row[];
}

/** What an answer says about its session. */
export interface Mark {
  readonly t: number;
  readonly digest: string;
}

/** In steps of rows, not in calls. */
export interface OwnVerdict {
  /** Calls that were answered. */
  acknowledged: number;
  /** Steps that were answered and are not in the session any more. */
  lost: number;
  /** Steps that are in the session in addition to those that were answered. */
  doubled: number;
  /** States whose bits are not those of the same steps in one sequence. */
  wrong: number;
}

export const emptyOwnVerdict = (): OwnVerdict => ({ acknowledged: 0, lost: 0, doubled: 0, wrong: 0 });

export class OwnSession {
  readonly id: string;
  readonly model: SessionModel;
  readonly #withKeys: boolean;
  readonly #random: () => number;
  #made = 0;
  /** Inputs of the steps that were answered, in their order. */
  readonly #rows: Row[] = [];
  readonly #marks: (Mark & { readonly steps: number })[] = [];

  /** @param withKeys each step has one key, however often it is sent; else each attempt has a new one */
  constructor({ id, model }: { readonly id: string; readonly model: SessionModel }, withKeys: boolean, random: () => number) {
    this.id = id;
    this.model = model;
    this.#withKeys = withKeys;
    this.#random = random;
  }

  /** The step after all that were made so far. */
  nextStep(): OwnStep {
    const { layers } = this.model;
    const T = this.#random() < 0.6 ? 1 : 3;
    return { session: this, number: this.#made++, xs: Array.from({ length: T }, () => randomRow(layers, this.#random)) };
  }

  keyOf({ number }: OwnStep): string {
    return this.#withKeys ? `step-${number}` : randomUUID();
  }

  /** @throws Error unless steps are answered in their order, each once */
  answered({ number, xs }: OwnStep, mark: Mark): void {
    if (number !== this.#marks.length) throw new Error(`Step ${number} was answered when ${this.#marks.length} was next.`);
    this.#rows.push(...xs);
    this.#marks.push({ ...mark, steps: this.#rows.length });
  }

  /** @param found the session as it is read in the end; undefined if it does not exist */
  check(verdict: OwnVerdict, found: Kept | undefined): void {
    const { layers } = this.model;
    const steps = this.#rows.length;
    verdict.acknowledged += this.#marks.length;
    let ahead = 0;
    const noteAhead = (now: number) => {
      if (now > ahead) verdict.doubled += now - ahead;
      else verdict.lost += ahead - now;
      ahead = now;
    };
    for (const mark of this.#marks) noteAhead(mark.t - mark.steps);
    noteAhead((found?.t ?? 0) - steps);
    // With other steps the states must differ.
    if (ahead === 0) verdict.wrong += this.#wrongStates(layers, found);
  }

  #wrongStates(layers: readonly Layer[], found: Kept | undefined): number {
    let state = firstState(layers, 0);
    let wrong = 0;
    for (const { steps, digest } of this.#marks) {
      state = apply(layers, state, { kind: 'advance', xs: this.#rows.slice(state.t, steps) })!;
      if (digestOf(state.states) !== digest) wrong++;
    }
    const atOnce = this.#rows.length === 0 ? zeroStates(layers) : outputOf(layers, zeroStates(layers), this.#rows);
    if (found && !bytesOf(atOnce).equals(bytesOf(found.states))) wrong++;
    return wrong;
  }
}
