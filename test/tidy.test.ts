// The house rules that a machine can hold: the direction of imports, and a short list of bans, each
// naming its replacement.
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';

const src = join(import.meta.dirname, '../src');
const files = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((file) => /\.(ts|mjs)$/.test(file) && !file.startsWith('build/'))
  .map((path) => ({ path, text: readFileSync(join(src, path), 'utf8') }));

/** What any file may import. */
const LEAVES = ['tensor.ts', 'layers.ts', 'errors.ts', 'error-kinds.ts', 'periodic.ts', 'lifetime.ts', 'request-record.ts', 'request-trace.ts', 'trace-context.ts', 'session-hash.ts', 'sorted-keys.ts', 'cores.ts', 'tenant.ts', 'usage.ts'];

/** A part may import from itself, from the leaves and from these; data flows from top to bottom. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  'server.ts': ['serve.ts', 'processes', 'config.ts', 'exits.ts'],
  processes: ['announce.ts', 'metrics', 'config.ts', 'exits.ts', 'hang-up.ts', 'logging.ts'],
  'serve.ts': ['app.ts', 'announce.ts', 'config.ts', 'exits.ts', 'hang-up.ts', 'processes', 'settings', 'logging.ts'],
  'announce.ts': ['config.ts', 'greeting.ts', 'settings'],
  'greeting.ts': [],
  'exits.ts': ['config.ts', 'settings'],
  'hang-up.ts': [],
  cli: ['config.ts', 'settings', 'access', 'engine', 'models', 'wasm', 'codec', 'store', 'backup', 'node-version.mjs'],
  'app.ts': ['app-overrides.ts', 'config.ts', 'settings', 'access', 'limits', 'metrics', 'tracing', 'http', 'engine', 'sessions', 'models', 'scheduler', 'pool', 'wasm', 'store', 'backup'],
  'app-overrides.ts': ['engine', 'scheduler', 'store'],
  backup: ['sessions', 'models', 'store'],
  tracing: ['http', 'store'],
  metrics: ['tracing', 'http', 'limits', 'sessions', 'models', 'store'],
  http: ['access', 'limits', 'engine', 'sessions', 'models', 'codec', 'wasm', 'settings'],
  engine: ['sessions', 'models', 'scheduler', 'wasm', 'codec'],
  sessions: ['store'],
  models: ['wasm', 'codec', 'store'],
  store: ['settings'],
  access: [],
  limits: ['access'],
  scheduler: ['pool', 'wasm'],
  pool: ['wasm'],
  wasm: ['kernels', 'codec'],
  kernels: [],
  codec: [],
  settings: [],
  'config.ts': ['settings'],
  'logging.ts': ['stdout-lines.ts'],
  'stdout-lines.ts': [],
  'tensor.ts': [],
  'layers.ts': [],
  'errors.ts': [],
  'error-kinds.ts': [],
  'periodic.ts': [],
  'lifetime.ts': [],
  'request-record.ts': [],
  'tenant.ts': [],
  'usage.ts': [],
  'request-trace.ts': [],
  'trace-context.ts': [],
  'session-hash.ts': [],
  'cores.ts': [],
  'sorted-keys.ts': [],
  client: [],
  pages: ['client'],
  'strip-types.ts': ['join-modules.ts'],
  'join-modules.ts': [],
  'node-version.mjs': [],
  'require-node.mjs': ['node-version.mjs'],
};

/** Packages that belong to one place. */
const ONLY_IN: Record<string, RegExp> = {
  '@bufbuild/protobuf': /^codec\/onnx\//,
  '@bufbuild/protobuf/wire': /^codec\/onnx\//,
  uplot: /^pages\//,
  '@fastify/static': /^http\/ops\/page\.ts$/,
  fastify: /^(http\/|app-overrides\.ts)/,
  '@prometheus-io/client': /^metrics\/exposition\.ts$/,
  '@opentelemetry/api': /^tracing\/(span-batch|sampling)\.ts$/,
  '@opentelemetry/otlp-exporter-base/node-http': /^tracing\/export-thread\/span-export\.ts$/,
  '@opentelemetry/resources': /^tracing\/export-thread\/span-export\.ts$/,
  '@opentelemetry/sdk-trace': /^tracing\//,
  '@fastify/websocket': /^http\/(plugins\/websocket\.ts|websocket\/)/,
  'fastify-plugin': /^http\//,
  '@fastify/type-provider-typebox': /^http\/(http|http-server)\.ts$/,
  'node:worker_threads': /^(pool\/|store\/sqlite\/|models\/import-thread\/|tracing\/export-(client\.ts$|thread\/))/,
  h5wasm: /^codec\/hdf5\//,
  'better-sqlite3': /^store\/sqlite\/open\.ts$/,
  'node:http': /^(http|metrics|access)\//,
  'env-schema': /^config\.ts$/,
  pino: /^(logging|stdout-lines)\.ts$/,
  'pino-pretty': /^logging\.ts$/,
  'close-with-grace': /^(serve|processes\/primary)\.ts$/,
  'node:cluster': /^(server|processes\/(primary|served-process))\.ts$/,
  'lru-cache': /^(limits\/limits|sessions\/session-(cache|owner)|access\/tokens)\.ts$/,
  commander: /^cli\//,
  jose: /^access\/tokens\.ts$/,
  'cli-progress': /^cli\/progress\.ts$/,
  ioredis: /^store\/redis\/client\.ts$/,
};

const BANS: readonly { what: RegExp; except: RegExp; instead: string }[] = [
  // pages/snippets.ts writes programs for others.
  { what: /process\.env/, except: /^(config|cli\/main|pages\/snippets)\.ts$/, instead: 'read config.ts' },
  {
    what: /\bconsole\./,
    except: /^((serve|server)\.ts|require-node\.mjs|cli\/carryover\.mjs|kernels\/build\.ts|pages\/snippets\.ts)$/,
    instead: 'use the logger',
  },
  { what: /Math\.random/, except: /^$/, instead: 'use wasm/pseudo-random.ts or node:crypto' },
  { what: /\bAtomics\./, except: /^pool\//, instead: 'cross threads in pool/ only' },
  { what: /new WebAssembly\./, except: /^wasm\//, instead: 'use wasm/load.ts or wasm/memory.ts' },
  {
    // Node.js 22, under which verify:nodes runs the kernels, has no such syntax.
    what: /^\s*(await )?using /m,
    except: /^(?!kernels\/|wasm\/|codec\/|pool\/(serve|worker|mailbox)\.ts$|tensor\.ts$|errors\.ts$|error-kinds\.ts$)/,
    instead: 'use try and finally',
  },
  {
    what: /^import (?!type )[^;]*from 'node:http'/m,
    except: /^$/,
    instead: "use process.getBuiltinModule('node:http'): an import loads fetch, which takes 0.1 s of each start",
  },
  { what: /\b(TODO|FIXME|XXX)\b/, except: /^$/, instead: 'open an issue' },
  { what: /\bas any\b|: any\b/, except: /^$/, instead: 'use unknown and narrow it' },
];

const partOf = (path: string) => path.split('/')[0]!;

function importsOf({ path, text }: (typeof files)[number]): string[] {
  return [...text.matchAll(/^(?:import|export)\b[^;]*?from '([^']+)'|\bimport\('([^']+)'\)/gm)]
    .map(([, fixed, dynamic]) => (fixed ?? dynamic)!)
    .map((name) => (name.startsWith('.') ? relative(src, join(src, dirname(path), name)) : name));
}

describe('imports', () => {
  test.each(files)('the imports of $path go in one direction', (file) => {
    const part = partOf(file.path);
    const allowed = MAY_IMPORT[part];
    expect(allowed, `${part} is missing in the table of this test`).toBeDefined();
    for (const name of importsOf(file)) {
      const isOurs = files.some(({ path }) => path === name || path === `${name}.ts`);
      if (isOurs) {
        const target = partOf(name);
        const fine = target === part || LEAVES.includes(name) || allowed!.includes(target);
        expect(fine, `${file.path} may not import ${name}: move what they share to a leaf`).toBe(true);
      } else if (ONLY_IN[name]) {
        expect(file.path, `only ${ONLY_IN[name]} may import ${name}`).toMatch(ONLY_IN[name]);
      }
    }
  });

  test('imports between the folders of http/ go in one direction', () => {
    const routes = ['compute', 'models', 'sessions', 'ops', 'v2'];
    const banned: Record<string, readonly string[]> = {
      connections: ['plugins', 'bodies', 'responses', ...routes],
      bodies: ['plugins', 'responses', ...routes],
      responses: ['plugins', ...routes],
      websocket: ['plugins', ...routes],
      plugins: routes,
      ...Object.fromEntries(routes.map((folder) => [folder, ['plugins']])),
    };
    const offenders = files.flatMap((file) => {
      const [part, folder] = file.path.split('/');
      if (part !== 'http') return [];
      const targets = importsOf(file).filter((name) => banned[folder!]?.includes(name.split('/')[1]!));
      return targets.map((name) => `${file.path} imports ${name}`);
    });
    expect(offenders).toEqual([]);
  });

  test('imports form no circle', () => {
    const graph = new Map(files.map((file) => [file.path, importsOf(file)]));
    const done = new Set<string>();
    const visit = (path: string, trail: readonly string[]): void => {
      expect(trail, `a circle: ${[...trail, path].join(' → ')}`).not.toContain(path);
      if (done.has(path)) return;
      for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
      done.add(path);
    };
    for (const path of graph.keys()) visit(path, []);
  });

  test('control: an import against the direction is seen', () => {
    const file = { path: 'engine/x.ts', text: "import { y } from '../http/http.ts';\n" };
    expect(importsOf(file)).toEqual(['http/http.ts']);
    expect(MAY_IMPORT.engine).not.toContain('http');
  });
});

describe('bans', () => {
  test.each(BANS)('$what: $instead', ({ what, except, instead }) => {
    const offenders = files
      .filter(({ path, text }) => what.test(text) && !except.test(path))
      .map(({ path }) => path);
    expect(offenders, instead).toEqual([]);
  });
});

test('every file of src is reached from the client, the server, the command line, a worker or the build', () => {
  const threads = ['pool/worker.ts', 'store/sqlite/thread.ts', 'models/import-thread/thread.ts', 'tracing/export-thread/thread.ts'];
  const entries = ['server.ts', 'strip-types.ts', 'client/index.ts', 'pages/main.ts', 'pages/docs/main.ts', 'pages/problems/main.ts', 'cli/carryover.mjs', 'cli/main.ts', 'require-node.mjs', ...threads, 'backup/check-process.ts', 'kernels/build.ts'];
  const reached = new Set<string>();
  const reach = (path: string): void => {
    const file = files.find((one) => one.path === path || one.path === `${path}.ts`);
    if (!file || reached.has(file.path)) return;
    reached.add(file.path);
    importsOf(file).forEach(reach);
  };
  [...entries, 'kernels/index.ts'].forEach(reach);
  expect(files.map(({ path }) => path).filter((path) => !reached.has(path))).toEqual([]);
});

test('random tests take their numbers from the seed of the run', () => {
  const tests = readdirSync(import.meta.dirname, { recursive: true, encoding: 'utf8' }).filter(
    (path) => path.endsWith('.ts') && path !== 'tidy.test.ts' && path !== 'helpers/seed.ts',
  );
  const unseeded = tests.filter((path) =>
    /from 'fast-check'|Math\.random|Date\.now\(\) %/.test(readFileSync(join(import.meta.dirname, path), 'utf8')),
  );
  expect(unseeded, 'use fc and SEED of helpers/seed.ts').toEqual([]);
});
