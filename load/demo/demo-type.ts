// What a demo is.
import type { Carryover } from '../../src/client/index.ts';

/** Options of the command line by their names. */
export type Options = Readonly<Record<string, string | undefined>>;

export interface Demo {
  /** Of the demo and of its model. */
  readonly name: string;
  /** One line of the list of demos. */
  readonly summary: string;
  /** The line above its output. */
  readonly title: string;
  /** Names of the options that it has beside those of all demos. */
  readonly options: readonly string[];
  /**
   * Reads the options.
   *
   * @returns the demo, which prints as it goes on, and throws CarryoverError if the service does not answer
   * @throws DemoError if an option is wrong
   */
  readonly prepare: (options: Options) => (carryover: Carryover) => Promise<Outcome>;
}

export interface Outcome {
  /** Whether all is so that the demo claims. */
  readonly isRight: boolean;
  /** For --json. */
  readonly numbers: object;
}
