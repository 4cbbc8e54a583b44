// carryover bench: the table of a service on this machine, in its shortest form.
import { once } from 'node:events';
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { beforeAll, expect, test } from 'vitest';
import { makeKeys } from '../helpers/access.ts';
import { type TestApp, buildApp } from '../helpers/app.ts';
import { closeAtEnd } from '../helpers/cleanup.ts';
import { carryover } from '../helpers/command-line.ts';

let app: TestApp;
let url: string;
beforeAll(async () => {
  app = await buildApp();
  url = await listen(remembering(app));
});

type Answer = Awaited<ReturnType<TestApp['http']['inject']>>;

/** Answers each kind of request as the service does, which computes it once: what is measured is not the subject here. */
function remembering({ http }: TestApp): Server {
  const known = new Map<string, Promise<Answer>>();
  return createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      const { method, url: path } = request;
      const headers = { ...request.headers, 'accept-encoding': 'identity' };
      const ask = () =>
        http.inject({ method: method as 'GET', url: path!, headers, ...(body.length > 0 && { payload: body }) });
      const { 'content-type': type, authorization } = headers;
      const key = `${method} ${path} ${type} ${authorization} ${body.length}`;
      const answer = known.get(key) ?? ask();
      if (path === '/v1/step') known.set(key, answer);
      void answer.then(({ statusCode, rawPayload }) =>
        response.writeHead(statusCode, { 'content-length': rawPayload.length }).end(rawPayload),
      );
    });
  });
}

async function listen(server: Server): Promise<string> {
  closeAtEnd(() => server.close().closeAllConnections());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const TARGETS = [
  '/health/live',
  'weights inline',
  'weights inline',
  'registered model',
  'registered model',
  'registered model, bytes',
  'registered model, bytes',
];

test('measures each request, and leaves no model behind', async () => {
  const argv = ['bench', '--url', url, '--seconds', '0.05', '--rounds', '1'];
  const { exitCode, stdout, stderr } = await carryover(argv, { fetch });
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
  expect(stdout).toMatch(
    / · Node v.* · the service runs with simd\d+\ncarryover bench, 16 connections, median of 1 rounds/,
  );
  const rows = stdout.split('\n').filter((line) => line.startsWith('/'));
  expect(rows).toHaveLength(TARGETS.length);
  for (const [k, row] of rows.entries()) expect(row).toMatch(new RegExp(`${TARGETS[k]} +[\\d,.]+ +[\\d,.]+ … `));
  expect(stdout.match(/^ {2}÷ \/health\/live /gm)).toHaveLength(TARGETS.length - 1);
  expect((await carryover(['models', '--json'], { app })).json()).toHaveLength(3);
});

test('a wrong address, and none that answers, end with their code', async () => {
  expect(await carryover(['bench', '--url', 'https://127.0.0.1:1'])).toMatchObject({
    exitCode: 64,
    stderr: expect.stringContaining('speaks no TLS'),
  });
  expect((await carryover(['bench', '--url', url])).exitCode).toBe(69);
});

test('answers with other bits than the reference end it before anything is timed', async () => {
  const wrong = createServer((request, response) => {
    const answers: Record<string, unknown> = {
      '/v1/models': { id: 'sha256:0' },
      '/v1/step': { h: [Array(128).fill(0.5)] },
    };
    request.resume().on('end', () => response.end(JSON.stringify(answers[request.url!] ?? { kernel: 'none' })));
  });
  const argv = ['bench', '--seconds', '0.05', '--rounds', '1', '--url', await listen(wrong)];
  const ran = await carryover(argv, { fetch });
  const stderr = expect.stringMatching(/cannot be measured: .*weights inline: h: element \d+ is 0\.5, the reference has /);
  expect(ran).toMatchObject({ exitCode: 69, stdout: '', stderr });
});

test('sends the key in CARRYOVER_API_KEY with every request that it measures', async () => {
  const keys = makeKeys();
  const key = keys.add('bench', ['compute', 'models']);
  const guarded = await listen(remembering(await buildApp({ API_KEYS_FILE: keys.path })));
  const argv = ['bench', '--url', guarded, '--seconds', '0.05', '--rounds', '1'];
  expect((await carryover(argv, { fetch })).exitCode).toBe(69);
  const { exitCode, stderr } = await carryover(argv, { fetch, env: { CARRYOVER_API_KEY: key } });
  expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
});
