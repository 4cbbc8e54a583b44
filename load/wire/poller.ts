// The thread that asks /health/live at fixed times, on a connection of its own. It is a thread so
// that what the bodies cost their sender does not count as waiting for the server.
//
// While an answer is missing nothing is asked, but every question that was due in the meantime counts
// too, with its own wait until that answer: who asks a busy server at a bad moment is many, and a
// poller that counted only its first question would hide them.
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
await ask();
parentPort!.postMessage('ready');

/** Posts how long each answer took, in ms. */
async function poll(durationMs: number): Promise<void> {
  const latenciesMs: number[] = [];
  const endMs = performance.now() + durationMs;
  for (let dueMs = performance.now(); dueMs < endMs; ) {
    await sleep(Math.max(0, dueMs - performance.now()));
    // A timer that is late is no fault of the server: what it skipped was not asked.
    const askedMs = Math.max(dueMs, performance.now());
    await ask();
    const answeredMs = performance.now();
    for (dueMs = askedMs; dueMs < answeredMs; dueMs += everyMs) {
      latenciesMs.push(answeredMs - dueMs);
    }
  }
  parentPort!.postMessage(latenciesMs);
}

/** @throws Error, which ends the thread, if the answer is not 200 */
function ask(): Promise<void> {
  return new Promise((resolve, reject) => {
    get(url, { agent }, (answer) => {
      if (answer.statusCode !== 200) reject(new Error(`${url}: ${answer.statusCode}`));
      answer.resume().once('end', () => resolve());
    }).once('error', reject);
  });
}
