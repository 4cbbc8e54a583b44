import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // A process per file: workers, signals and WebAssembly memory stay with the test that made them.
    pool: 'forks',
    // Many tests wait for servers, kills and timeouts: another file runs meanwhile.
    maxWorkers: 3,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
