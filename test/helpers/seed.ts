// The seed of all random tests: the variable SEED, or another number at each run (vitest.config.ts chooses
// it, so that all processes of a run have the same). fast-check is imported from here, so that it uses
// this seed; test/tidy.test.ts checks that. report-failures.ts prints the command that repeats a failed
// test with its seed.
import fc from 'fast-check';

/** Programs that run without vitest choose a seed here, and print it. */
export const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);

fc.configureGlobal({ seed: SEED });
export { fc };
