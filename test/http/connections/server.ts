// A service and requests as text, for the tests of misbehaving clients.
import { PassThrough } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { createLogger } from '../../../src/logging.ts';
import { type TestApp, buildApp } from '../../helpers/app.ts';
import { closeAtEnd } from '../../helpers/cleanup.ts';
import { padded } from '../../helpers/padding.ts';
import { requestText } from '../../helpers/request-text.ts';

export const JSON_TYPE = { 'content-type': 'application/json' };
export const STEP = '{"weights":{"W_x":[[0.5]],"W_h":[[0.8]]},"x":[[1]]}';
export const LARGE_STEP = padded(STEP, 900_000);
export const LIVE = requestText('GET', '/health/live');
/** Longer than any timeout of these tests takes on a busy machine. */
export const SOON_MS = 30_000;

export const stepRequest = (headers: Record<string, string | number> = {}, body = STEP) =>
  requestText('POST', '/v1/step', { ...JSON_TYPE, 'content-length': body.length, ...headers }, body);

export interface Server {
  readonly app: TestApp;
  readonly port: number;
  /** Lines of the log so far, those of probes left out. */
  readonly lines: () => any[];
}

const servers = new Map<string, Promise<Server>>();

/** A service that listens; one for each environment of a test file. Its log begins anew. */
export async function listen(environment: Record<string, string> = {}): Promise<Server> {
  const key = JSON.stringify(environment);
  const known = servers.get(key);
  const starting = known ?? start(environment);
  servers.set(key, starting);
  // Files that share a process share this table, and the service is closed with its file.
  if (starting !== known) closeAtEnd(() => servers.delete(key));
  const server = await starting;
  const linesBefore = server.lines().length;
  return { ...server, lines: () => server.lines().slice(linesBefore) };
}

async function start(environment: Record<string, string> = {}): Promise<Server> {
  const stream = new PassThrough();
  let text = '';
  stream.on('data', (chunk) => (text += chunk));
  const app = await buildApp(environment, { logger: createLogger('info', stream) });
  await app.http.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.http.server.address() as { port: number };
  text = '';
  return { app, port, lines: () => text.split('\n').filter(Boolean).map((line) => JSON.parse(line)) };
}

/** The status of POST /v1/step. */
export const statusOf = async ({ port }: Server, body = STEP, headers = {}) => {
  const response = await fetch(`http://127.0.0.1:${port}/v1/step`, {
    method: 'POST',
    headers: { ...JSON_TYPE, ...headers },
    body,
  });
  await response.arrayBuffer();
  return response.status;
};

/** Expects a response to be a problem with the headers of every response; returns it. */
export function expectProblem(response: { status: number; headers: Record<string, string>; body: string }) {
  expect(response.headers['content-type']).toContain('application/problem+json');
  expect(response.headers['x-content-type-options']).toBe('nosniff');
  const problem = JSON.parse(response.body);
  expect(problem.status).toBe(response.status);
  expect(response.headers['x-request-id']).toMatch(/./);
  expect(problem.instance).toBe(response.headers['x-request-id']);
  return problem;
}

/** Whether as many connections are open within SOON_MS, those of this process's fetch left out. */
export async function openSockets({ app }: Server, count: number): Promise<boolean> {
  const connections = () =>
    new Promise<number>((resolve) => app.http.server.getConnections((_, n) => resolve(n)));
  const endMs = performance.now() + SOON_MS;
  while (performance.now() < endMs) {
    // fetch keeps one for its next request.
    if ((await connections()) <= count + 1) return true;
    await sleep(20);
  }
  return false;
}

/** About half a second of work, and a short answer. */
export function longSequence(): string {
  const [H, T] = [64, 30_000];
  const W = Array(H).fill(0.01);
  const x = Array.from({ length: T }, () => [[1]]);
  const body = JSON.stringify({ weights: { W_x: [W], W_h: Array(H).fill(W) }, x, outputs: ['h'] });
  return requestText('POST', '/v1/sequence', { ...JSON_TYPE, 'content-length': body.length }, body);
}

/** 13 MB, more than the systems' buffers take. */
export function longStream(): string {
  const x = JSON.stringify(Array.from({ length: 40_000 }, () => [[1]]));
  const W = Array(32).fill(0.01);
  const body = JSON.stringify({ weights: { W_x: [W], W_h: Array(32).fill(W) }, x: 0 }).replace(':0}', `:${x}}`);
  const headers = { ...JSON_TYPE, accept: 'application/x-ndjson', 'content-length': body.length };
  return requestText('POST', '/v1/sequence', headers, body);
}
