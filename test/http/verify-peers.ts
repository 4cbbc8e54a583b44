// npm run verify:peers: well-behaved clients beside 1,000 peers that are silent, slow, send a byte at a time,
// never read and never close, and connect again when they are disconnected. The p99 latency of the well-behaved
// clients is at most twice that without peers, the server's memory stays within 64 MiB of before, and when the
// peers stop reconnecting their sockets are closed within twice the timeouts. Without the guards the sockets
// stay open: the measurement would show it. Linux only, for /proc.
import { once } from 'node:events';
import { readFileSync, readdirSync, readlinkSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { type RunningServer, startServer } from '../helpers/process.ts';
import type { PeersOptions } from './hostile-peers.ts';

const PEERS = Number(process.env.PEERS ?? 1_000);
const SECONDS = Number(process.env.PEER_SECONDS ?? 30);
const TIMEOUT_MS = 5_000;
const GROWN_MIB_MAX = 64;
const P99_RATIO_MAX = 2;
const CLIENTS = 8;
/** Of one client, between an answer and its next request. */
const PAUSE_MS = 10;

const SETTINGS = {
  REQUEST_TIMEOUT_MS: String(TIMEOUT_MS),
  KEEP_ALIVE_TIMEOUT_MS: String(TIMEOUT_MS),
  STREAM_STALL_MS: String(TIMEOUT_MS),
  // Twice the peers: connections that are being terminated are read for a moment more and count as well.
  CONNECTIONS_MAX: String(2 * PEERS),
  LOG_LEVEL: 'error',
};
const BODY = JSON.stringify({ model: 'sunspots', x: [[0.5]] });

let failures = 0;

await withServer(undefined, async (server) => {
  const sessionId = await createSession(server);
  await runClients(server, 5);
  const alone = await runClients(server, SECONDS);
  const [mibBefore, socketsBefore] = [residentMiB(server), socketsOf(server)];
  const peers = startPeers(server, sessionId);
  let mibMost = 0;
  const watching = setInterval(() => (mibMost = Math.max(mibMost, residentMiB(server))), 200);
  const beside = await runClients(server, SECONDS);
  clearInterval(watching);
  const connected = await send(peers, 'stop reconnecting');
  const closedMs = await msUntilClosed(server, socketsBefore, 2 * TIMEOUT_MS);
  console.log(`${connected} connections of ${PEERS} peers in ${SECONDS} s`);
  await send(peers, 'end');
  const ratio = beside.p99Ms / alone.p99Ms;
  check(beside.failed === 0, `requests of well-behaved clients: ${beside.count}, failed ${beside.failed}`);
  check(
    ratio <= P99_RATIO_MAX,
    `p99 ${alone.p99Ms.toFixed(1)} → ${beside.p99Ms.toFixed(1)} ms, ${ratio.toFixed(2)} times ` +
      `(p50 ${alone.p50Ms.toFixed(1)} → ${beside.p50Ms.toFixed(1)} ms)`,
  );
  const grownMiB = mibMost - mibBefore;
  check(grownMiB <= GROWN_MIB_MAX, `memory ${mibBefore.toFixed(0)} MiB, grown by ${grownMiB.toFixed(1)}`);
  check(closedMs !== undefined, `sockets closed after ${closedMs?.toFixed(0) ?? `more than ${2 * TIMEOUT_MS}`} ms`);
});

await withServer('test/fixtures/servers/without-guards.ts', async (server) => {
  const sessionId = await createSession(server);
  const socketsBefore = socketsOf(server);
  const peers = startPeers(server, sessionId);
  await sleep(2 * TIMEOUT_MS);
  await send(peers, 'stop reconnecting');
  const closedMs = await msUntilClosed(server, socketsBefore, 2 * TIMEOUT_MS);
  const left = socketsOf(server) - socketsBefore;
  await send(peers, 'end');
  check(closedMs === undefined, `control, no guards: ${left} sockets are left`);
});

console.log(failures === 0 ? 'All checks of hostile peers passed.' : `${failures} of 5 failed.`);
process.exit(failures === 0 ? 0 : 1);

async function withServer(
  entry: string | undefined,
  measure: (server: RunningServer) => Promise<void>,
): Promise<void> {
  const server = await startServer(SETTINGS, entry);
  try {
    await measure(server);
  } finally {
    await server.stop();
  }
}

function check(isFine: boolean, text: string): void {
  console.log(`${isFine ? 'ok    ' : 'FAILED'} ${text}`);
  if (!isFine) failures++;
}

function startPeers({ port }: RunningServer, sessionId: string): Worker {
  const workerData: PeersOptions = {
    port,
    sessionId,
    count: PEERS,
    spreadMs: TIMEOUT_MS,
    reconnectAfterMs: 2 * TIMEOUT_MS,
  };
  return new Worker(new URL('./hostile-peers-thread.ts', import.meta.url), { workerData });
}

/** Returns the number of connections that the peers have made. */
async function send(peers: Worker, command: 'stop reconnecting' | 'end'): Promise<number> {
  peers.postMessage(command);
  const [connected] = (await once(peers, 'message')) as [number];
  return connected;
}

async function createSession({ url }: RunningServer): Promise<string> {
  const response = await fetch(`${url}/v1/sessions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'sunspots' }),
  });
  return ((await response.json()) as { id: string }).id;
}

/** Each sends a step, waits for its answer and a little longer, and so on. */
async function runClients({ port }: RunningServer, seconds: number) {
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
  const endMs = performance.now() + seconds * 1_000;
  const tookMs: number[] = [];
  let failed = 0;
  const client = async () => {
    while (performance.now() < endMs) {
      const startMs = performance.now();
      const status = await step(port, agent);
      tookMs.push(performance.now() - startMs);
      if (status !== 200) failed++;
      await sleep(PAUSE_MS);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  agent.destroy();
  tookMs.sort((a, b) => a - b);
  const quantile = (part: number) => tookMs[Math.floor(part * (tookMs.length - 1))]!;
  return { count: tookMs.length, failed, p50Ms: quantile(0.5), p99Ms: quantile(0.99) };
}

/** The status; 0 if the connection is lost. */
function step(port: number, agent: Agent): Promise<number> {
  return new Promise((resolve) => {
    const headers = { 'content-type': 'application/json', 'content-length': BODY.length };
    const options = { host: '127.0.0.1', port, path: '/v1/step', method: 'POST', headers, agent };
    const sent = request(options, (response) => {
      response.resume().once('end', () => resolve(response.statusCode!));
    });
    sent.once('error', () => resolve(0)).end(BODY);
  });
}

async function msUntilClosed(server: RunningServer, socketsBefore: number, msMax: number) {
  const startMs = performance.now();
  while (socketsOf(server) > socketsBefore) {
    if (performance.now() - startMs > msMax) return undefined;
    await sleep(50);
  }
  return performance.now() - startMs;
}

function residentMiB({ process: { pid } }: RunningServer): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1_024;
}

/** Open in the server's process. */
function socketsOf({ process: { pid } }: RunningServer): number {
  return readdirSync(`/proc/${pid}/fd`).filter((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith('socket:');
    } catch {
      return false;
    }
  }).length;
}
