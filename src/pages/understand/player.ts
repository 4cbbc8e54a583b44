// Plays steps at a speed: what the next frames show is computed while these ones are drawn.
import type { Unrolled } from './unrolled.ts';
import { STEPS_MAX } from './unrolled.ts';

/** Steps that one call computes, and as many are fetched before they are needed. */
const CHUNK = 64;
/** A window that was hidden for a while does not make up for it at once. */
const STEPS_PER_FRAME_MAX = 8;

export interface PlayerOptions {
  readonly unrolled: Unrolled;
  /** Called once for each frame with new steps. */
  readonly onSteps: () => void;
  /** Called when it stops by itself: undefined at the end, else the error of a call. */
  readonly onEnd: (error: unknown) => void;
}

export class Player {
  readonly #options: PlayerOptions;
  #stepsPerSecond = 0;
  #control: AbortController | undefined;
  #isFetching = false;
  #lastMs: number | undefined;
  /** Steps that should have been shown by now, with the fraction of the next one. */
  #due = 0;

  constructor(options: PlayerOptions) {
    this.#options = options;
  }

  get isPlaying(): boolean {
    return this.#control !== undefined;
  }

  play(stepsPerSecond: number): void {
    this.#stepsPerSecond = stepsPerSecond;
    if (this.#control) return;
    this.#control = new AbortController();
    const { signal } = this.#control;
    this.#lastMs = undefined;
    // The first step is seen at once.
    this.#due = 1;
    this.#fetchAhead(signal);
    requestAnimationFrame((ms) => this.#frame(ms, signal));
  }

  pause(): void {
    this.#control?.abort();
    this.#control = undefined;
  }

  /** @param signal of this play: after a pause there may be another one */
  #frame(ms: number, signal: AbortSignal): void {
    if (signal.aborted) return;
    const { unrolled, onSteps, onEnd } = this.#options;
    this.#due += ((ms - (this.#lastMs ?? ms)) / 1000) * this.#stepsPerSecond;
    this.#lastMs = ms;
    let taken = 0;
    while (this.#due >= 1 && taken < STEPS_PER_FRAME_MAX && unrolled.take()) {
      this.#due -= 1;
      taken++;
    }
    // Steps that are not there yet are not caught up with.
    this.#due = Math.min(this.#due, 1);
    if (taken > 0) onSteps();
    if (unrolled.steps.length >= STEPS_MAX) {
      this.pause();
      return onEnd(undefined);
    }
    this.#fetchAhead(signal);
    requestAnimationFrame((next) => this.#frame(next, signal));
  }

  #fetchAhead(signal: AbortSignal): void {
    const { unrolled, onEnd } = this.#options;
    if (this.#isFetching || unrolled.aheadCount >= CHUNK) return;
    this.#isFetching = true;
    unrolled.fetch(CHUNK, signal).catch((error: unknown) => {
      if (signal.aborted) return;
      this.pause();
      onEnd(error);
    }).finally(() => {
      this.#isFetching = false;
    });
  }
}
