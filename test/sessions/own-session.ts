// A session that one client steps, in order: which steps it has sent, what they were answered with, and how far that is from
// the same steps as one sequence.
import { randomUUID } from 'node:crypto';
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
  /** Calls that were answered, by their numbers. */
  readonly #answers: { readonly xs: readonly Row[]; readonly mark: Mark }[] = [];
  /** Number of the first call that was not answered. */
  #next = 0;

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

  /**
   * @param isReplay a call that was applied earlier may be answered before an earlier one, which may still be refused: as its key
   *   is in use, for example
   * @throws Error if any other is answered out of its order
   */
  answered({ number, xs }: OwnStep, mark: Mark, isReplay: boolean): void {
    const isNext = number === this.#next;
    if (this.#answers[number] || !(isNext || isReplay)) throw new Error(`Call ${number} was answered when ${this.#next} was next.`);
    this.#answers[number] = { xs, mark };
    while (this.#answers[this.#next]) this.#next++;
  }

  /** @param found the session as it is read in the end; undefined if it does not exist */
  check(verdict: OwnVerdict, found: Kept | undefined): void {
    verdict.acknowledged += this.#answers.length;
    let steps = 0;
    let ahead = 0;
    const noteAhead = (now: number) => {
      if (now > ahead) verdict.doubled += now - ahead;
      else verdict.lost += ahead - now;
      ahead = now;
    };
    for (const { xs, mark } of this.#answers) {
      steps += xs.length;
      noteAhead(mark.t - steps);
    }
    noteAhead((found?.t ?? 0) - steps);
    // With other steps the states must differ.
    if (ahead === 0) verdict.wrong += this.#wrongStates(found);
  }

  #wrongStates(found: Kept | undefined): number {
    const { layers } = this.model;
    let state = firstState(layers, 0);
    let wrong = 0;
    for (const { xs, mark } of this.#answers) {
      state = apply(layers, state, { kind: 'advance', xs })!;
      if (digestOf(state.states) !== mark.digest) wrong++;
    }
    const rows = this.#answers.flatMap(({ xs }) => xs);
    const atOnce = rows.length === 0 ? zeroStates(layers) : outputOf(layers, zeroStates(layers), rows);
    if (found && !bytesOf(atOnce).equals(bytesOf(found.states))) wrong++;
    return wrong;
  }
}
