// The open loop of `npm run load` counts what a request waits for: here a server that is silent for a while, now and then.
import { once } from 'node:events';
import { type Server, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { runClosedLoop } from '../../src/cli/bench/closed-loop.ts';
import { CONNECTIONS, type HttpTarget } from '../../src/cli/bench/http-target.ts';
import { runOpenLoop } from '../../load/clients/open-loop.ts';
import { closeAtEnd } from '../helpers/cleanup.ts';

const STALL_MS = 300;
const SECONDS = 1.5;
const BODY = Buffer.from('{"h":[[0.5]]}');

/** Answers at once, but for a stall of all requests that begins `atMs` after the first of them. */
async function startStalling(atMs: number, stallMs = STALL_MS): Promise<HttpTarget & { readonly received: () => number }> {
  let received = 0;
  let stalled = Promise.resolve<unknown>(undefined);
  const stall = () => {
    stalled = sleep(stallMs);
  };
  const server: Server = createServer((request, response) => {
    if (received++ === 0) setTimeout(stall, atMs).unref();
    request.resume();
    request.once('end', () => void stalled.then(() => response.end(BODY)));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closeAtEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { name: 'stalling', url: `http://127.0.0.1:${port}/`, method: 'POST', body: Buffer.from('{}'), expectBody: BODY, received: () => received };
}

test('a stall counts for each request that was due in it', async () => {
  const target = await startStalling(500);
  const round = await runOpenLoop([target], { perS: 400, seconds: SECONDS, connections: 4 });
  expect(round).toMatchObject({ perS: 400, count: 600, refused: 0 });
  expect(target.received() + round.unsent).toBe(600);
  // A fifth of the requests was due in the stall: half of them waited for more than half of it, the first for all of it.
  expect(round.p90Ms).toBeGreaterThan(0.4 * STALL_MS);
  expect(round.p99Ms).toBeGreaterThan(0.8 * STALL_MS);
});

test('control: a closed loop hides the same stall', async () => {
  // A machine with much other work is slow without a stall, too: the stall is long beside that, and few requests meet it.
  const { requestsPerS, p90Ms } = await runClosedLoop(await startStalling(1e6), 0.3);
  const stallMs = Math.max(STALL_MS, 8 * p90Ms);
  const target = await startStalling(200, stallMs);
  const round = await runClosedLoop(target, (200 + stallMs) / 1_000 + (50 * CONNECTIONS) / requestsPerS);
  // Only the requests in flight met it, one of each connection.
  expect(target.received()).toBeGreaterThan(20 * CONNECTIONS);
  expect(round.p90Ms).toBeLessThan(0.4 * stallMs);
});

test('requests go to all targets in turn, and are sent at their rate', async () => {
  const targets = [await startStalling(1e6), await startStalling(1e6)];
  const startMs = performance.now();
  const round = await runOpenLoop(targets, { perS: 500, seconds: 0.4, connections: 2 });
  expect(performance.now() - startMs).toBeGreaterThan(400);
  expect(targets.map(({ received }) => received())).toEqual([100, 100]);
  expect(round.p999Ms).toBeNaN();
});

test('what cannot be sent in twice the time is counted with what it has waited', async () => {
  const target = await startStalling(0);
  const round = await runOpenLoop([target], { perS: 1_000, seconds: 0.1, connections: 1 });
  expect(round.unsent).toBeGreaterThan(90);
  expect(round.p50Ms).toBeGreaterThan(100);
});

test('another body than the expected one is an error', async () => {
  const target = await startStalling(1e6);
  const wrong = { ...target, expectBody: Buffer.from('{"h":[[0.6]]}') };
  await expect(runOpenLoop([wrong], { perS: 100, seconds: 0.1, connections: 1 })).rejects.toThrow('stalling: not the expected response');
});
