// What takes long because it must has a short form, which `npm test` runs, and a long form: `npm run test:long` runs
// that of all files which import this one (vitest.config.ts finds them), and so does `.ci/run`.
import { type TestFunction, describe, test } from 'vitest';

export const IS_LONG = process.env.LONG === 'true';

/** The short form must fail for the fault that the test is about; the long one finds it where it is rare. */
export function sized<Size>({ short, long }: { readonly short: Size; readonly long: Size }): Size {
  return IS_LONG ? long : short;
}

/** A number, of which the suites that take minutes set more by a variable. */
export function count(variable: string, forms: { readonly short: number; readonly long: number }): number {
  return Number(process.env[variable] ?? sized(forms));
}

/** Runs of a random property: a tenth in the short form, of other numbers each time (test/helpers/seed.ts). */
export function runs(long: number): number {
  return sized({ short: Math.ceil(long / 10), long });
}

/** A group of which the long form alone has something: the file says what the short one has in its place. */
export function describeLong(name: string, body: () => void): void {
  if (IS_LONG) describe(name, body);
}

/** A test that the long form alone has. */
export function testLong(name: string, body: TestFunction, timeoutMs?: number): void {
  if (IS_LONG) test(name, body, timeoutMs);
}

/**
 * Cases of one property: the long form has all of them, the short one `number`, spread over the list and others with
 * another seed (test/helpers/seed.ts), so that each is tested sooner or later.
 */
export function sample<Case>(cases: readonly Case[], number: number): Case[] {
  if (IS_LONG || number >= cases.length) return [...cases];
  const first = Number(process.env.SEED ?? 0);
  return Array.from({ length: number }, (_, k) => cases[(first + Math.floor((k * cases.length) / number)) % cases.length]!);
}
