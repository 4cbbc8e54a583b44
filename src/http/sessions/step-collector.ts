// Steps that one socket brings in the same iteration of the event loop, for sessions of which each has one: they are
// advanced together. No timer is involved: what has arrived is computed when all of it was read, and what comes meanwhile
// is for the next iteration.
import type { SessionCompute } from '../../engine/session-compute.ts';
import type { SessionStep, StepOutcome } from '../../engine/session-group.ts';

interface WaitingStep<Printed> {
  readonly step: SessionStep<Printed>;
  readonly resolve: (outcome: StepOutcome<Printed> | Promise<StepOutcome<Printed>>) => void;
}

export class StepCollector<Printed> {
  readonly #sessionCompute: SessionCompute;
  #waiting: WaitingStep<Printed>[] = [];

  constructor(sessionCompute: SessionCompute) {
    this.#sessionCompute = sessionCompute;
  }

  /**
   * Does not reject.
   *
   * @returns as SessionCompute.advanceTogether: undefined if the step is to be advanced alone
   */
  add(step: SessionStep<Printed>): Promise<StepOutcome<Printed>> {
    return new Promise((resolve) => {
      if (this.#waiting.length === 0) setImmediate(() => this.#advance());
      this.#waiting.push({ step, resolve });
    });
  }

  #advance(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    const outcomes = waiting.length > 1 ? this.#sessionCompute.advanceTogether(waiting.map(({ step }) => step)) : [];
    for (const [k, { resolve }] of waiting.entries()) resolve(outcomes[k]);
  }
}
