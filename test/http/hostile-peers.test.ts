// Well-behaved clients beside peers that hold connections without completing a request. With a thousand of
// these, and with times and memory measured: `npm run verify:peers`.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test, vi } from 'vitest';
import { Connection } from '../../src/http/connections/connection.ts';
import { type TestApp, buildApp } from '../helpers/app.ts';
import { HostilePeers } from './hostile-peers.ts';

const TIMEOUT_MS = 400;
const PEERS = 66;
/** A WebSocket may take two seconds to close, and a busy machine much longer. */
const DISCONNECTED_MS_MAX = 2 * TIMEOUT_MS + 20_000;
/** On an idle machine all are disconnected by then. */
const USUALLY_DISCONNECTED_MS = 2 * TIMEOUT_MS + 2_000;
/** How long the attack takes at most until all peers have connected; half a second on an idle machine. */
const ATTACK_MS_MAX = 20_000;

let peers: HostilePeers | undefined;
afterEach(() => {
  peers?.end();
  vi.restoreAllMocks();
});

async function attack() {
  const app = await buildApp({
    REQUEST_TIMEOUT_MS: String(TIMEOUT_MS),
    KEEP_ALIVE_TIMEOUT_MS: String(TIMEOUT_MS),
    STREAM_STALL_MS: String(TIMEOUT_MS),
    BODIES_BYTES_MAX: String(64 * 1024 * 1024),
  });
  await app.http.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.http.server.address() as { port: number };
  const { body: session } = await app.post('/v1/sessions', { model: 'sunspots' });
  peers = new HostilePeers({
    port,
    sessionId: session.id,
    count: PEERS,
    spreadMs: TIMEOUT_MS / 4,
    reconnectAfterMs: 2 * TIMEOUT_MS,
  });
  return { app, url: `http://127.0.0.1:${port}`, peers };
}

const connectionsOf = ({ http }: TestApp) =>
  new Promise<number>((resolve) => http.server.getConnections((_, count) => resolve(count)));

/** Whether in time no connection is left but that of the well-behaved client. */
async function areDisconnected(app: TestApp, msMax = DISCONNECTED_MS_MAX): Promise<boolean> {
  const endMs = performance.now() + msMax;
  while ((await connectionsOf(app)) > 1) {
    if (performance.now() > endMs) return false;
    await sleep(20);
  }
  return true;
}

test('hostile peers of all kinds: well-behaved clients are answered, all peers are disconnected soon', async () => {
  const { app, url, peers } = await attack();
  const headers = { 'content-type': 'application/json' };
  const body = JSON.stringify({ model: 'sunspots', x: [[0.5]] });
  const startMs = performance.now();
  let most = 0;
  // On a busy machine they connect again more slowly than they are disconnected.
  const isAttacked = () => most > PEERS / 5 && peers.connected > PEERS;
  for (let ms = 0; ms < 3 * TIMEOUT_MS || (ms < ATTACK_MS_MAX && !isAttacked()); ms = performance.now() - startMs) {
    const response = await fetch(`${url}/v1/step`, { method: 'POST', headers, body });
    expect(response.status).toBe(200);
    await response.arrayBuffer();
    most = Math.max(most, await connectionsOf(app));
  }
  expect(isAttacked(), `${most} connections at a time, ${peers.connected} in all`).toBe(true);
  peers.stopReconnecting();
  expect(await areDisconnected(app)).toBe(true);
});

test('control: if Connection.check() terminates no connection, the hostile peers stay connected', async () => {
  vi.spyOn(Connection.prototype, 'check').mockReturnValue(undefined);
  const { app, peers } = await attack();
  await vi.waitUntil(() => peers.connected >= PEERS, { timeout: ATTACK_MS_MAX });
  await sleep(TIMEOUT_MS);
  peers.stopReconnecting();
  expect(await areDisconnected(app, USUALLY_DISCONNECTED_MS)).toBe(false);
});
