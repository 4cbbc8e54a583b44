// The command line as a whole: help, examples, usage errors and exit codes.
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXIT_MEANINGS, EXIT_OF_PROBLEM } from '../../src/cli/exit-codes.ts';
import { ERRORS, type ErrorCode } from '../../src/error-kinds.ts';
import { type TestApp, buildApp } from '../helpers/app.ts';
import { carryover, interruptible } from '../helpers/command-line.ts';

const COMMANDS = ['serve', 'doctor', 'import', 'models', 'sessions', 'step', 'generate', 'bench'];

test('--version prints the version', async () => {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../../package.json'), 'utf8')) as {
    version: string;
  };
  expect(await carryover(['--version'])).toMatchObject({ exitCode: 0, stdout: `${version}\n`, stderr: '' });
});

describe('help', () => {
  test('names all commands and all exit codes', async () => {
    const { exitCode, stdout, stderr } = await carryover(['--help']);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    for (const command of COMMANDS) expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'));
    for (const [code, meaning] of Object.entries(EXIT_MEANINGS))
      expect(stdout).toMatch(new RegExp(`^  ${code} +${meaning}$`, 'm'));
  });

  test('is printed to stderr without a command, which is a usage error', async () => {
    const { exitCode, stdout, stderr } = await carryover([]);
    expect({ exitCode, stdout }).toEqual({ exitCode: 64, stdout: '' });
    expect(stderr).toContain('Usage: carryover');
  });

  test.each(COMMANDS)('of %s has no line beyond the terminal, and at least one example', async (command) => {
    const { exitCode, stdout } = await carryover([command, '--help']);
    expect(exitCode).toBe(0);
    expect(await examplesOf(command)).not.toEqual([]);
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(120);
  });
});

async function examplesOf(command: string): Promise<string[]> {
  const { stdout } = await carryover([command, '--help']);
  return [...stdout.matchAll(/^ {2}\$ carryover (.+)$/gm)].map(([, line]) => line!);
}

describe('the examples of the help', () => {
  const fixtures = join(import.meta.dirname, '../fixtures');
  const folder = mkdtempSync(join(tmpdir(), 'carryover-examples-'));
  let app: TestApp;
  beforeAll(async () => {
    app = await buildApp();
    await app.post('/v1/models', { name: 'first', weights: { W_x: [[0.5]], W_h: [[0.8]] } });
    copyFileSync(join(fixtures, 'npz/forecast.pt'), join(folder, 'forecast.pt'));
    copyFileSync(join(fixtures, 'npz/forecast.npz'), join(folder, 'outputs.npz'));
    writeFileSync(join(folder, 'months.csv'), '0.58\n0.6\n');
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  /** The words of a line, as a shell makes them. */
  const wordsOf = (line: string) =>
    [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, ...found]) => found.find((word) => word !== undefined)!);

  test.each(COMMANDS.filter((command) => command !== 'bench'))('of %s end with 0', async (command) => {
    const { id } = (await app.post('/v1/sessions', { model: 'sunspots' })).body;
    const started: string[] = [];
    const replaceProcess = async (args: readonly string[]) => {
      started.push(args.at(-1)!);
      return 0;
    };
    for (const line of await examplesOf(command)) {
      const isFile = (word: string) => /\.(pt|npz|csv|safetensors)$/.test(word);
      const words = wordsOf(line).map((word) => (word === 'SESSION' ? id : isFile(word) ? join(folder, word) : word));
      const { exitCode, stderr } = await carryover(words, { app, replaceProcess, env: { PORT: '0' } });
      expect({ line, exitCode, stderr }).toEqual({ line, exitCode: 0, stderr: '' });
    }
    expect(started.length).toBe(command === 'serve' ? 3 : 0);
  });
});

describe('a wrong command line', () => {
  test.each([
    [['impor'], "Unknown command 'impor'"],
    [['import'], "Missing required argument 'file'"],
    [['models', '--jsno'], "Unknown option '--jsno'"],
    [['sessions', 'create', '--model', 'a', '--rows', 'two'], 'Expected a whole number, 1 to 1048576.'],
    [['models', 'bogus'], 'Too many arguments'],
    [['generate', '--length', '1.5'], 'Expected a whole number, 1 to 1000000.'],
    [['import', 'a.pt', '--layout', 'DTN'], 'Allowed choices are TND, NTD.'],
    [['models', '--url', 'here'], 'The address is "here", expected one like http://127.0.0.1:8080.'],
  ])('%j ends with 64 and says why', async (argv, message) => {
    expect(await carryover(argv)).toMatchObject({ exitCode: 64, stdout: '', stderr: expect.stringContaining(message) });
  });

  test.each([[['nonsense']], [['key', 'nonsense']], [['sessions', 'nonsense']]])('%j is refused also with --help', async (argv) => {
    const without = await carryover(argv);
    expect(without).toMatchObject({ exitCode: 64, stdout: '', stderr: expect.stringMatching(/nknown command|Too many arguments/) });
    for (const option of ['--help', '-h']) {
      const { exitCode, stdout, stderr } = await carryover([...argv, option]);
      expect({ exitCode, stdout, stderr }).toEqual({ exitCode: 64, stdout: '', stderr: without.stderr });
    }
  });

  test('a word that is nearly a command is suggested', async () => {
    expect((await carryover(['impor'])).stderr).toContain('(Did you mean import?)');
  });
});

describe('errors', () => {
  test('every problem code of the API has an exit code', () => {
    expect(Object.keys(EXIT_OF_PROBLEM).toSorted()).toEqual(Object.keys(ERRORS).toSorted());
  });

  test('what a client can repeat is temporary, and what a client cannot change is not its data', () => {
    for (const code of Object.keys(ERRORS) as ErrorCode[]) {
      if (ERRORS[code].status === 503) expect([code, EXIT_OF_PROBLEM[code]]).toEqual([code, 75]);
      if (ERRORS[code].status === 500) expect([code, EXIT_OF_PROBLEM[code]]).toEqual([code, 70]);
      if (ERRORS[code].status === 400) expect([code, EXIT_OF_PROBLEM[code]]).toEqual([code, 65]);
    }
  });

  test('without a service the address is named, and what to do', async () => {
    const { exitCode, stderr } = await carryover(['models'], { env: { CARRYOVER_URL: 'http://127.0.0.1:9' } });
    expect(exitCode).toBe(69);
    expect(stderr).toBe(
      'carryover: No service answers at http://127.0.0.1:9 (connect ECONNREFUSED). Start one with `carryover serve`, or say ' +
        'where it is with --url or CARRYOVER_URL.\n',
    );
  });

  test('--json makes the error a line of JSON on stderr', async () => {
    const { stdout, stderr } = await carryover(['models', '--json']);
    expect(stdout).toBe('');
    expect(JSON.parse(stderr)).toEqual({ error: { exitCode: 69, message: expect.stringContaining('No service answers') } });
  });

  test('an answer that is not of this service is 69', async () => {
    const fetch = async () => new Response('<html>', { status: 502 });
    expect(await carryover(['models'], { fetch })).toMatchObject({
      exitCode: 69,
      stderr: expect.stringContaining('answered with status 502 and no problem of Carryover'),
    });
  });

  test('a code of a later version is taken by its status', async () => {
    const answer = (status: number) => async () => Response.json({ code: 'new_code', detail: 'It is new.' }, { status });
    expect((await carryover(['models'], { fetch: answer(422) })).exitCode).toBe(65);
    expect(await carryover(['models'], { fetch: answer(500) })).toMatchObject({
      exitCode: 70,
      stderr: 'carryover: It is new. [new_code]\n',
    });
  });

  test('an address may have a path, behind a gateway', async () => {
    const urls: string[] = [];
    const fetch = async (url: unknown) => {
      urls.push(String(url));
      return Response.json({ models: [] });
    };
    await carryover(['models', '--url', 'https://example.org/rnn/'], { fetch });
    expect(urls).toEqual(['https://example.org/rnn/v1/models?limit=1000']);
  });

  test('a call that waits ends with 130 after Ctrl-C', async () => {
    const { signal, interrupt } = interruptible();
    const fetch = (_: unknown, init?: RequestInit) =>
      new Promise<Response>((_resolve, reject) => {
        init!.signal!.addEventListener('abort', () => reject(init!.signal!.reason as Error));
        interrupt();
      });
    expect(await carryover(['models'], { signal, fetch })).toMatchObject({ exitCode: 130, stdout: '', stderr: '' });
  });
});

test('serve starts the service as `npm start` does, with its settings in the environment', async () => {
  const calls: unknown[] = [];
  const replaceProcess = async (args: readonly string[], env: Readonly<Record<string, string | undefined>>) => {
    calls.push([args, env]);
    return 78;
  };
  const argv = [
    'serve',
    '--port',
    '9000',
    '--host',
    '::1',
    '--models-dir',
    'm',
    '--store',
    'memory:',
    '--processes',
    '3',
    '--workers',
    '2',
    '--log-level',
    'warn',
  ];
  const { exitCode } = await carryover(argv, { replaceProcess, env: { PORT: '1', N_MAX: '7' } });
  expect(exitCode).toBe(78);
  const server = join(import.meta.dirname, '../../src/server.ts');
  expect(calls).toEqual([
    [
      ['--max-semi-space-size=8', '--heap-growing-percent=100', server],
      { PORT: '9000', N_MAX: '7', HOST: '::1', MODELS_DIR: 'm', STORE_URL: 'memory:', PROCESSES: '3', WORKERS: '2', LOG_LEVEL: 'warn' },
    ],
  ]);
});
