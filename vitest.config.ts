import { join } from 'node:path';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // A process per file: workers, signals and WebAssembly memory stay with the test that made them.
    pool: 'forks',
    // Many tests wait for servers, kills and timeouts: another file runs meanwhile.
    maxWorkers: 3,
    // Some tests start the service dozens of times: with its compiled code kept in 0.8 s instead of 1.1.
    env: { NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules/.cache/compiled') },
    reporters: ['default', './test/helpers/report-skips.ts'],
    // A test that looks at nothing cannot fail.
    expect: { requireAssertions: true },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
