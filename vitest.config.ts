import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Begun last, one of these would run on alone while the others' places are empty. */
const LONG = ['store/redis-faults', 'sessions/crash', 'pool/faults', 'sessions/model', 'store/sqlite'];

class LongFilesFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification) =>
      LONG.some((name) => moduleId.endsWith(`/${name}.test.ts`));
    // oxlint-disable-next-line no-array-sort -- it is vitest's
    const sorted = await super.sort(files);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // A process per file: workers, signals and WebAssembly memory stay with the test that made them.
    pool: 'forks',
    // Many tests wait for servers, kills and timeouts: another file runs meanwhile.
    maxWorkers: 3,
    sequence: { sequencer: LongFilesFirst },
    // Some tests start the service dozens of times: so it starts in three quarters of the time.
    env: { NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules/.cache/compiled') },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
