import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** They take longest, mostly waiting: begun last, they would leave the other cores idle at the end. */
const LONGEST = [
  'store/redis/server-faults',
  'sessions/crash',
  'docker/image',
  'sessions/model',
  'server',
  'http/websocket/shutdown',
  'http/streams/readers',
  'http/connections/connections',
  'http/connections/bodies',
  'store/sqlite/faults',
  'sessions/isolation',
].map((name) => join(import.meta.dirname, 'test', `${name}.test.ts`));

/** Those first; the rest as vitest has it. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    // oxlint-disable-next-line unicorn/no-array-sort -- not that of an array
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification) => LONGEST.includes(moduleId);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

/** Tests that need a process of their own are in these folders too, so each file is named. */
const SHARED_HTTP = [
  'block-copy', 'built-in-models', 'compression', 'files', 'index', 'json-bodies', 'large-layers', 'large-weights',
  'layer-calls', 'layers',
  'model-lifetimes', 'models', 'openapi', 'overload', 'preloaded-models', 'read-throttle', 'request-mistakes',
  'response-validation', 'strict-input', 'torch-files', 'vectors', 'write-coalescing',
];
const SHARED_SESSIONS = [
  'applied', 'copies', 'create-once', 'damage', 'expiry', 'history', 'in-place', 'lost-writes', 'numerics',
  'record', 'replicas', 'session-cache', 'session-locks',
];

/**
 * Files that leave nothing behind in their process: no child processes, no flags of V8, no measurement of
 * memory or of the event loop. They share processes: starting one and loading the service costs 0.7 s of
 * processor time, more than most of these files take.
 */
const SHARED = [
  'test/{codec,engine,models,properties,scheduler,wasm}/**/*.test.ts',
  'test/kernels/!(soak).test.ts',
  'test/{config,cores,lifetime,periodic,sorted-keys}.test.ts',
  `test/http/{${SHARED_HTTP.join()}}.test.ts`,
  'test/http/{contract,sessions}/*.test.ts',
  'test/http/websocket/!(slow-client).test.ts',
  `test/sessions/{${SHARED_SESSIONS.join()}}.test.ts`,
  'test/store/{clock,memory,redis/connection-state}.test.ts',
  'test/store/sqlite/{faults,files,messages,sqlite}.test.ts',
  'test/pool/*.test.ts',
  'test/http/streams/!(readers).test.ts',
  'test/http/connections/{client-errors,readers}.test.ts',
];

export default defineConfig({
  test: {
    projects: [
      // A process per file: workers, signals and WebAssembly memory stay with the test that made them.
      {
        extends: true,
        test: {
          name: 'own process',
          include: ['test/**/*.test.ts'],
          exclude: SHARED,
        },
      },
      {
        extends: true,
        test: { name: 'shared process', include: SHARED, isolate: false },
      },
    ],
    pool: 'forks',
    // Many tests wait for servers, kills and timeouts: another file runs meanwhile.
    maxWorkers: 3,
    sequence: { sequencer: LongestFirst },
    // Some tests start the service dozens of times: with its compiled code kept in 0.8 s instead of 1.1.
    env: {
      NODE_COMPILE_CACHE: join(import.meta.dirname, 'node_modules/.cache/compiled'),
      // Chosen once for all processes of the run; see test/helpers/seed.ts.
      SEED: process.env.SEED ?? String(Date.now() % 1_000_000),
    },
    reporters: ['default', './test/helpers/report-skips.ts', './test/helpers/report-failures.ts'],
    // A test that looks at nothing cannot fail.
    expect: { requireAssertions: true },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
