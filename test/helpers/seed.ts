// What random tests begin with: another number at each run, or SEED; fast-check, imported from here, too. A
// test that fails says how to run it again with the same one.
import fc from 'fast-check';

export const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000);

fc.configureGlobal({ seed: SEED });
export { fc };

// The long suites are programs of their own, without vitest; they print their seed.
if (process.env.VITEST) {
  const { afterEach } = await import('vitest');
  afterEach(({ task }) => {
    if (task.result?.state !== 'fail') return;
    console.error(`To repeat it: SEED=${SEED} npx vitest run ${task.file.name}`);
  });
}
