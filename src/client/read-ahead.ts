// What streams have in common: inputs are read ahead of the results that are taken, up to a window.
//
//   inputs ──▶ unanswered ──▶ answered: not yet taken by the caller ──▶ results
//              └── together at most `window` ──┘
import { Pulse } from './pulse.ts';

export type Inputs<Input> = Iterable<Input> | AsyncIterable<Input>;

export interface ReadAheadOptions<Input> {
  /** Inputs that are read before their results have been taken. */
  readonly window: number;
  readonly unansweredCount: () => number;
  /** What this throws ends the reading, as an error of the inputs does. */
  readonly add: (input: Input) => void;
  /** Something here has changed. */
  readonly onChanged: () => void;
}

export class ReadAhead<Input, Result> {
  /** Beats whenever something has changed for which one of the stream may wait. */
  readonly pulse = new Pulse();
  readonly #options: ReadAheadOptions<Input>;
  readonly #answered: Result[] = [];
  /** No input will come any more. */
  #isFed = false;
  /** Why no more inputs could be read. */
  #inputError: { readonly error: unknown } | undefined;
  /** Why no more inputs are answered. */
  #failure: { readonly error: unknown } | undefined;

  constructor(options: ReadAheadOptions<Input>) {
    this.#options = options;
  }

  /** Nothing is left to be answered, or nothing more will be. */
  get isOver(): boolean {
    return this.hasFailed || (this.#isFed && this.#options.unansweredCount() === 0);
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  push(result: Result): void {
    this.#answered.push(result);
  }

  /** The first error counts; the results that are there are taken before it is thrown. */
  fail(error: unknown): void {
    this.#failure ??= { error };
  }

  /** No further input is read. */
  end(): void {
    this.#isFed = true;
  }

  /** All results, in the order in which they were pushed. @throws the error of fail(), or of the inputs */
  async *results(): AsyncGenerator<Result, void, undefined> {
    for (;;) {
      const result = this.#answered.shift();
      if (result) {
        this.pulse.beat();
        yield result;
      } else if (this.#failure) throw this.#failure.error;
      else if (!this.isOver) await this.pulse.next();
      else if (this.#inputError) throw this.#inputError.error;
      else return;
    }
  }

  /** Adds the inputs, as there is room for them. @throws what the inputs throw when they are ended early */
  async feed(inputs: Inputs<Input>): Promise<void> {
    const { window, unansweredCount, add, onChanged } = this.#options;
    let left: Iterator<Input> | AsyncIterator<Input> | undefined;
    try {
      const iterator = Symbol.asyncIterator in inputs ? inputs[Symbol.asyncIterator]() : inputs[Symbol.iterator]();
      while (!this.#isFed) {
        if (unansweredCount() + this.#answered.length >= window) {
          await this.pulse.next();
          continue;
        }
        // One that throws or is done has ended by itself.
        left = undefined;
        const { done, value } = await iterator.next();
        if (done) break;
        left = iterator;
        if (!this.#isFed) add(value);
      }
    } catch (error) {
      this.#inputError = { error };
    }
    this.end();
    onChanged();
    // Nobody waits for it: a generator that waits for something ends only when that comes.
    await left?.return?.();
  }
}
