// What a demo is.
import type { Client } from './client.ts';

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
   * Prints as it goes on.
   *
   * @throws DemoError if an option is wrong, or the service does not answer
   */
  readonly run: (client: Client, options: Options) => Promise<Outcome>;
}

export interface Outcome {
  /** Whether the numbers agree with torch's. */
  readonly isRight: boolean;
  /** For --json. */
  readonly numbers: object;
}
