import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * They take longest, many of them mostly waiting: begun last, they would leave the other cores idle at the end. Most have a
 * long form (test/helpers/long.ts), which `npm test` does not run: all of it is to take less than 150 s on two cores.
 */
const LONGEST = [
  'processes/processes',
  'processes/life',
  'docker/rolling-restart',
  'store/redis/server-faults',
  'docker/image',
  'sessions/crash',
  'sessions/crash-many',
  'sessions/redis',
  'sessions/full-disk',
  'sessions/model',
  'sessions/power-loss',
  'sessions/isolation',
  'store/sqlite/disk',
  'server',
  'server-https',
  'store/redis/open',
  'http/tenant-limits',
  'pool/faults',
  'client/python',
  'demo',
  'http/docs-page',
  'http/browser-pages',
  'pages/understand',
  'docker/behind-path',
  'http/event-loop',
  'http/streams/readers',
].map((name) => join(import.meta.dirname, 'test', `${name}.test.ts`));

/**
 * Files with a process of their own come first, for a process that others share ends when the next file needs its own;
 * and of both kinds first those that take longest.
 */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- not that of an array
    const sorted = await super.sort(files);
    const rankOf = ({ project, moduleId }: TestSpecification) =>
      (project.config.isolate ? 0 : 2) + (LONGEST.includes(moduleId) ? 0 : 1);
    return sorted.toSorted((a, b) => rankOf(a) - rankOf(b));
  }
}

/**
 * Files that need a process of their own: they measure its memory or its event loop, set flags of V8, or replace
 * modules or globals. All others share processes: starting one and loading the service costs a second of processor
 * time, more than most files take.
 */
const OWN_PROCESS = [
  'http/answers-in-place',
  'http/connections/bodies',
  'http/connections/connections',
  'http/prepared',
  'http/websocket/slow-client',
  'http/worst-bodies',
  'kernels/soak',
  'store/redis/server-faults',
].map((name) => `test/${name}.test.ts`);

/** `npm run test:long`: only the files run that have a long form, those that import test/helpers/long.ts. */
const IS_LONG = process.env.LONG === 'true';
const LONG_FORMS = globSync('test/**/*.test.ts', { cwd: import.meta.dirname }).filter((file) =>
  /^import .*\/long\.ts';$/m.test(readFileSync(join(import.meta.dirname, file), 'utf8')),
);

export default defineConfig({
  test: {
    projects: [
      {
        extends: true,
        test: { name: 'own process', include: IS_LONG ? OWN_PROCESS.filter((file) => LONG_FORMS.includes(file)) : OWN_PROCESS },
      },
      {
        extends: true,
        test: {
          name: 'shared process',
          include: IS_LONG ? LONG_FORMS : ['test/**/*.test.ts'],
          exclude: OWN_PROCESS,
          isolate: false,
          // From the start: V8 grows it step by step, and collects the garbage of a test a dozen times meanwhile.
          execArgv: ['--min-semi-space-size=16', '--max-semi-space-size=32'],
        },
      },
    ],
    setupFiles: ['test/helpers/setup.ts'],
    pool: 'forks',
    // Many tests wait for servers, kills and timeouts: another file runs meanwhile.
    maxWorkers: 4,
    sequence: { sequencer: LongestFirst },
    // Some tests start the service dozens of times: with its compiled code kept in 0.8 s instead of 1.1.
    env: {
      NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules/.cache/compiled'),
      // Chosen once for all processes of the run; see test/helpers/seed.ts.
      SEED: process.env.SEED ?? String(Date.now() % 1_000_000),
    },
    reporters: ['default', './test/helpers/report-skips.ts', './test/helpers/report-failures.ts'],
    // A test that looks at nothing cannot fail.
    expect: { requireAssertions: true, poll: { timeout: 20_000 } },
    // Many times what any test takes: a machine may be slow, and busy.
    testTimeout: 180_000,
    hookTimeout: 180_000,
  },
});
