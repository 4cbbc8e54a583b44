// What the programs of this folder have in common: how they end, and what their options may be.

/** An error is one line, and exit code 1 whatever still runs: workers, servers, bodies in flight. */
export async function runProgram(main: () => Promise<void>): Promise<void> {
  try {
    await main();
  } catch (error) {
    console.error((error as Error).message);
    process.exit(1);
  }
}

/** @throws Error unless the option is a whole number, at least `min` */
export function wholeNumber(option: string, text: string | number, min = 1): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= min) return value;
  throw new Error(`--${option} must be a whole number, at least ${min}.`);
}

/** The length of a sample. @throws Error unless it is within these */
export function secondsOf(text: string | number, min: number, max = 600): number {
  const value = Number(text);
  if (value >= min && value <= max) return value;
  throw new Error(`--seconds must be ${min} … ${max}.`);
}
