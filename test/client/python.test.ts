// The client for Python: every verb of it, with NumPy and without, and exactly one step for each call while connections are lost.
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeKeys } from '../helpers/access.ts';
import { buildApp } from '../helpers/app.ts';
import { count, sized } from '../helpers/long.ts';
import { startLossyProxy } from '../helpers/lossy-proxy.ts';
import { describeWith, pythonWithNumpy } from '../helpers/needs.ts';
import { writeSafetensors } from '../helpers/safetensors.ts';
import { SEED } from '../helpers/seed.ts';
import { type TestService, startService } from './service.ts';

const CLIENT = join(import.meta.dirname, '../../src/client');
const STEPS = count('CLIENT_STEPS', { short: 200, long: 10_000 });
const LOSSES = sized({ short: 20, long: 300 });

let server: TestService;
let guarded: TestService;
const keys = makeKeys();
const key = keys.add('a');
const folder = mkdtempSync(join(tmpdir(), 'carryover-python-'));
const modelFile = join(folder, 'model.safetensors');

beforeAll(async () => {
  [server, guarded] = await Promise.all([startService(), startService({ API_KEYS_FILE: keys.path })]);
  const data = Float32Array.of(0.5);
  const names = ['rnn.weight_ih_l0', 'rnn.weight_hh_l0'];
  writeFileSync(modelFile, writeSafetensors(Object.fromEntries(names.map((name) => [name, { shape: [1, 1], data }]))));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What a program of the folder python/ prints. */
async function run(python: string, args: readonly string[]): Promise<string> {
  const child = spawn(python, args, {
    cwd: join(import.meta.dirname, 'python'),
    env: {
      ...process.env,
      PYTHONDONTWRITEBYTECODE: '1',
      CARRYOVER_CLIENT: CLIENT,
      CARRYOVER_URL: server.url,
      GUARDED_URL: guarded.url,
      API_KEY: key,
      MODEL_FILE: modelFile,
    },
  });
  const ended = new Promise((resolve) => void child.once('close', resolve));
  const [printed, failure] = await Promise.all([text(child.stdout), text(child.stderr)]);
  expect(await ended, failure).toBe(0);
  return printed + failure;
}

describeWith('python3', 'the client for Python', () => {
  test('its syntax is that of Python 3.9', () => {
    const parse = `import ast; ast.parse(open('carryover.py').read(), feature_version=(3, 9))`;
    expect(spawnSync('python3', ['-c', parse], { cwd: CLIENT, encoding: 'utf8' }).stderr).toBe('');
  });

  test('every verb, without NumPy', async () => {
    // Without its site packages, of which NumPy is one.
    expect(await run('python3', ['-S', 'verbs.py'])).toContain('OK');
  });

  const lose = async (verb: 'step' | 'batch', retryFor: number) => {
    const post = async (path: string, body: object) => {
      const response = await fetch(server.url + path, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
      return response.json();
    };
    const weights = { W_x: [[0.5, -0.25]], W_h: [[0.9, 0.2], [-0.3, 0.8]] };
    const [{ id }, plain] = await Promise.all([post('/v1/sessions', { weights }), post('/v1/sessions', { weights })]);
    const x = Array.from({ length: STEPS }, (_, k) => [[(k % 100) / 128]]);
    const expected = await post('/v1/sequence', { session: plain.id, x, outputs: ['h'] });
    // Of five items in each call.
    const calls = verb === 'step' ? STEPS : STEPS / 5;
    const proxy = await startLossyProxy(server.port, SEED, Math.min(0.5, (1.5 * LOSSES) / calls));
    const calm = setInterval(() => proxy.losses >= LOSSES && (proxy.chance = 0), 5);
    const args = ['losses.py', `http://127.0.0.1:${proxy.port}`, id, String(STEPS), String(retryFor), verb];
    const { t, failed } = JSON.parse(await run('python3', args)) as { t: number; failed: number };
    clearInterval(calm);
    await proxy.close();
    const found = await fetch(`${server.url}/v1/sessions/${id}`).then((response) => response.json());
    console.log(`${STEPS} steps, ${proxy.losses} connections lost (SEED=${SEED}), ${failed} calls failed, t = ${t}`);
    return { t, failed, losses: proxy.losses, isSame: found.digest === expected.session.digest };
  };

  test.each(['step', 'batch'] as const)(`${STEPS} steps of %s() while connections are lost: none is lost and none counts twice`, { timeout: 240_000 }, async (verb) => {
    const { losses, ...counted } = await lose(verb, 60);
    expect(counted).toEqual({ t: STEPS, failed: 0, isSame: true });
    expect(losses).toBeGreaterThan(LOSSES / 2);
  });

  test.each(['step', 'batch'] as const)('control: without its retries %s() fails, and steps that are made once more count twice', { timeout: 240_000 }, async (verb) => {
    const { t, failed } = await lose(verb, 0);
    expect(failed).toBeGreaterThan(0);
    expect(t).toBeGreaterThan(STEPS);
  });
});

describeWith('python3-numpy', 'the client for Python, with NumPy', () => {
  test('every verb, with arrays and with lists', async () => {
    expect(await run(pythonWithNumpy()!, ['verbs.py'])).toContain('OK');
  });
});

test('the service offers the file, and answers 304 to whom has it', async () => {
  const { http } = await buildApp({ BASE_PATH: '/ml/rnn' });
  const { headers, payload } = await http.inject('/ml/rnn/clients/carryover.py');
  expect(payload).toBe(readFileSync(join(CLIENT, 'carryover.py'), 'utf8'));
  expect(headers['content-type']).toBe('text/x-python; charset=utf-8');
  const again = await http.inject({ url: '/ml/rnn/clients/carryover.py', headers: { 'if-none-match': `W/"x", ${headers.etag as string}` } });
  expect([again.statusCode, again.payload]).toEqual([304, '']);
});
