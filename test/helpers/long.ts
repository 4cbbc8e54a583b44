// What takes long because it must has a short form, which `npm test` runs, and a long form: `npm run test:long` runs
// that of all files which import this one (vitest.config.ts finds them), and so does `.ci/run`.
import { describe } from 'vitest';

export const IS_LONG = process.env.LONG === 'true';

/** The short form must fail for the fault that the test is about; the long one finds it where it is rare. */
export function sized<Size>({ short, long }: { readonly short: Size; readonly long: Size }): Size {
  return IS_LONG ? long : short;
}

/** A number, of which the suites that take minutes set more by a variable. */
export function count(variable: string, forms: { readonly short: number; readonly long: number }): number {
  return Number(process.env[variable] ?? sized(forms));
}

/** Runs of a random property: a quarter in the short form, of other numbers each time (test/helpers/seed.ts). */
export function runs(long: number): number {
  return sized({ short: Math.ceil(long / 4), long });
}

/** A group of which the long form alone has something: the file says what the short one has in its place. */
export function describeLong(name: string, body: () => void): void {
  if (IS_LONG) describe(name, body);
}
