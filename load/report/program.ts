// What the programs of this folder share: how they end, their options, and the file of their figures.
import { writeFileSync } from 'node:fs';

/** Prints an error as one line and exits with 1, although workers, servers or requests may still run. */
export async function runProgram(main: () => Promise<void>): Promise<void> {
  try {
    await main();
  } catch (error) {
    console.error((error as Error).message);
    process.exit(1);
  }
}

/** Options of a benchmark that measures in rounds, for parseArgs(). */
export const ROUND_OPTIONS = {
  rounds: { type: 'string' },
  seconds: { type: 'string' },
  quick: { type: 'boolean', default: false },
} as const;

/** @throws Error unless the option is a whole number of at least `min` */
export function wholeNumber(option: string, text: string | number, min = 1): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= min) return value;
  throw new Error(`--${option} must be a whole number, at least ${min}.`);
}

/** `--seconds`, the length of a sample. @throws Error unless it is within min … max */
export function secondsOf(text: string | number, min: number, max = 600): number {
  const value = Number(text);
  if (value >= min && value <= max) return value;
  throw new Error(`--seconds must be ${min} … ${max}.`);
}

/** Writes the figures of `--json FILE`, if the option is given. */
export function writeReport(file: string | undefined, figures: unknown): void {
  if (file === undefined) return;
  writeFileSync(file, `${JSON.stringify(figures, undefined, 2)}\n`);
}
