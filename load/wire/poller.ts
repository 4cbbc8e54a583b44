// The thread that requests /health/live at fixed times on a connection of its own. It is a thread so that the
// time which the bodies cost their sender does not count as waiting for the server.
//
// While a response is missing no request is sent, but each request that was due meanwhile counts with its own
// wait until that response. Counting the first one only would hide a stall from the percentiles (coordinated
// omission).
import { Agent, get } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';

export interface PollerData {
  readonly url: string;
  readonly everyMs: number;
}

const { url, everyMs } = workerData as PollerData;
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

parentPort!.on('message', (seconds: number) => void poll(seconds * 1000));
await request();
parentPort!.postMessage('ready');

/** Posts the latencies in ms. */
async function poll(durationMs: number): Promise<void> {
  const latenciesMs: number[] = [];
  const endMs = performance.now() + durationMs;
  for (let dueMs = performance.now(); dueMs < endMs; ) {
    await sleep(Math.max(0, dueMs - performance.now()));
    // A timer that fires late is not the server's fault: requests that were due before do not count.
    const sentMs = Math.max(dueMs, performance.now());
    await request();
    const receivedMs = performance.now();
    for (dueMs = sentMs; dueMs < receivedMs; dueMs += everyMs) {
      latenciesMs.push(receivedMs - dueMs);
    }
  }
  parentPort!.postMessage(latenciesMs);
}

/** @throws Error, which ends the thread, if the status is not 200 */
function request(): Promise<void> {
  return new Promise((resolve, reject) => {
    get(url, { agent }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`${url}: ${response.statusCode}`));
      response.resume().once('end', () => resolve());
    }).once('error', reject);
  });
}
