// The demos are what a newcomer runs first, and they are end-to-end tests: real sockets, trained networks, torch's numbers.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type App, createApp } from '../src/app.ts';
import { readConfig } from '../src/config.ts';
import { describeLong, testLong } from './helpers/long.ts';
import { KNOWN_SPEEDS } from './helpers/speeds.ts';

const demo = join(import.meta.dirname, '../load/demo/demo.ts');
const crash = join(import.meta.dirname, '../load/demo/crash.ts');

/** What the model writes from seed 7 at temperature 0.6, on every machine. */
const WRITTEN =
  '"It my dear sister was a glanted with a lady lively acquaintance, and where there were so failly and way, and ' +
  'the disposition to her engagement of the subject she was the situation with the rest of th';

describe('the demos', () => {
  let app: App;
  let url: string;
  let folder: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'carryover-demo-'));
    app = await createApp(readConfig({ WORKERS: '1', PORT: '0', STORE_URL: 'memory:' }), { isPrepared: false, ...KNOWN_SPEEDS });
    await app.http.listen({ host: '127.0.0.1', port: 0 });
    url = `http://127.0.0.1:${(app.http.server.address() as AddressInfo).port}`;
  });

  afterAll(async () => {
    await app?.close();
    rmSync(folder, { recursive: true });
  });

  /** Runs a demo that must succeed. @returns what it prints, and its numbers */
  async function figuresOf(name: string, args: readonly string[] = ['--url', url], env = {}) {
    const json = join(folder, `${name}.json`);
    const { code, stdout, stderr } = await run([demo, name, '--json', json, ...args], env);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(widthOf(stdout)).toBeLessThanOrEqual(80);
    return { stdout, numbers: JSON.parse(readFileSync(json, 'utf8')) };
  }

  test('sunspots: chunks, single steps of a fork and one call have the same bits and forecasts as good as torch', async () => {
    const { stdout, numbers } = await figuresOf('sunspots', [], { PORT: new URL(url).port });
    expect(stdout).toContain(`through the service at ${url}`);
    expect(numbers).toMatchObject({
      months: 3_177,
      sameBits: { chunksAndWholeCall: true, stepsAndSequence: true },
      rmse: { months: [2_601, 3_176] },
    });
    expect(numbers.maxAbsError.hs).toBeLessThanOrEqual(2e-6);
    expect(numbers.maxAbsError.y).toBeLessThanOrEqual(2e-6);
    expect(numbers.rmse.service).toBeCloseTo(16.5086, 4);
    expect(numbers.rmse.persistence).toBeCloseTo(18.6555, 4);
    expect(stdout).toContain('the same bits');
  });

  test('austen: a seed writes the same text everywhere, and the held-out text costs as many bits as with torch', async () => {
    const { stdout, numbers } = await figuresOf('austen', ['--url', url, '--seed', '7', '--characters', '200', '--temperature', '0.6']);
    expect(numbers.text).toBe(WRITTEN);
    expect(stdout.replaceAll(/\s+/g, ' ')).toContain(WRITTEN);
    expect(Math.abs(numbers.bitsPerCharacter.service - 1.7535660557266495)).toBeLessThanOrEqual(1e-7);
    expect(numbers.maxAbsError.probability).toBeLessThanOrEqual(1e-6);
    expect(numbers.maxAbsError.state).toBeLessThanOrEqual(5e-6);
    expect(stdout).toContain('1.753566  1.753566');
  });

  testLong('weather: the forecasts of 2015 are as good as those of torch, and better than "tomorrow = today"', async () => {
    // Without an address: through a service of its own, unless one runs at the default address.
    const { numbers } = await figuresOf('weather', []);
    expect(numbers.days).toBe(365);
    expect(Math.abs(numbers.rmse.service.network - 2.6789565086364746)).toBeLessThanOrEqual(1e-6);
    expect(Math.abs(numbers.rmse.service.persistence - 2.9071428775787354)).toBeLessThanOrEqual(1e-6);
    expect(numbers.maxAbsError.y).toBeLessThanOrEqual(2e-5);
  });

  test('Ctrl-C ends a demo at once, and deletes its session', async () => {
    const child = start([demo, 'austen', '--url', url, '--characters', '100000']);
    const output = outputOf(child);
    while (!output().includes('dear')) await once(child.stdout, 'data');
    expect(await app.store.count()).toBe(1);
    child.kill('SIGINT');
    expect(await once(child, 'close')).toEqual([130, null]);
    expect(await app.store.count()).toBe(0);
    expect(output()).toMatch(/dear.*\n$/s);
    expect(output()).not.toContain('Error');
  });

  testLong('where no service answers at an address that is given, one line says how to start it', async () => {
    const { code, stdout, stderr } = await run([demo, 'weather', '--url', 'http://127.0.0.1:1']);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toBe('No service answers at http://127.0.0.1:1. Start it in another terminal: npm start\n');
  });
});

test('without an argument the demos are listed, and without a terminal nothing is asked', async () => {
  const { code, stdout, stderr } = await run([demo]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(widthOf(stdout)).toBeLessThanOrEqual(80);
  expect(stdout.match(/npm run demo -- \w+/g)).toEqual(['sunspots', 'weather', 'austen'].map((name) => `npm run demo -- ${name}`));
});

// In the short form sessions/crash.test.ts kills services.
describeLong('the demo of a crash', () => {
  test('it kills the service in the middle of a session and finds the same bits', async () => {
    const { code, stdout, stderr } = await run([crash, '--months', '60']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/ sent +month 30\n.* SIGKILL +the service .*(\n.*)+ ready .*(\n.*)* answered /);
    expect(stdout).toContain('steps taken              60 of 60, none lost, none twice');
    expect(stdout).toContain('without interruption     the same bits');
  });
});

function widthOf(text: string): number {
  return Math.max(...text.split('\n').map((line) => line.length));
}

type Child = ChildProcessByStdio<null, Readable, Readable>;

function start(args: readonly string[], env = {}): Child {
  return spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
}

/** What the child has written so far to stdout and stderr. */
function outputOf(child: Child): () => string {
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => (output += text));
  }
  return () => output;
}

async function run(args: readonly string[], env = {}) {
  const child = start(args, env);
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  const [code] = await once(child, 'close');
  return { code, ...output };
}
