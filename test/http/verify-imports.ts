// npm run verify:imports: while model files of 30 MB are registered one after the other, GET /health/live is answered with
// a p99 below 20 ms, whatever their format. It is requested every 5 ms by a thread of its own (load/wire/poller.ts), first
// of the idle service. On a machine that does something else, too, the idle p99 says how much of it is that.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { percentile } from '../../src/cli/bench/statistics.ts';
import { startServer } from '../helpers/process.ts';
import { heavyModelFiles } from './heavy-model-files.ts';
import type { HeavyCall } from './heavy-calls.ts';

const FILE_BYTES = 30_000_000;
const P99_MS_MAX = 20;
const EVERY_MS = 5;
const IDLE_SECONDS = 2;
const SECONDS = 8;
/** Files of each format, made before anything is measured: each with other weights. */
const FILES = 3;

const server = await startServer();
const poller = new Worker(new URL('../../load/wire/poller.ts', import.meta.url), {
  workerData: { url: `${server.url}/health/live`, everyMs: EVERY_MS },
});
await once(poller, 'message');
let failures = 0;

report('idle', await poll(IDLE_SECONDS));
for (const [k, { name, status }] of heavyModelFiles(FILE_BYTES, true, 0).entries()) {
  const calls = Array.from({ length: FILES }, (_, attempt) => heavyModelFiles(FILE_BYTES, true, attempt)[k]!);
  const bodies = await Promise.all(calls.map(async ({ body }) => new Uint8Array(await body!())));
  const polled = poll(SECONDS);
  const times = await sendUntil(performance.now() + SECONDS * 1_000, calls, bodies, status);
  report(name, await polled, times);
}

await poller.terminate();
await server.stop();
console.log(failures === 0 ? `p99 is within ${P99_MS_MAX} ms.` : `${failures} formats took longer.`);
process.exitCode = failures === 0 ? 0 : 1;

async function poll(seconds: number): Promise<readonly number[]> {
  poller.postMessage(seconds);
  const [latenciesMs] = (await once(poller, 'message')) as [readonly number[]];
  return latenciesMs;
}

/** @returns the time of each request, in ms */
async function sendUntil(
  endMs: number,
  calls: readonly HeavyCall[],
  bodies: readonly Uint8Array<ArrayBuffer>[],
  status: HeavyCall['status'],
): Promise<number[]> {
  const times: number[] = [];
  while (performance.now() < endMs) {
    const k = times.length % bodies.length;
    const startMs = performance.now();
    const response = await fetch(server.url + calls[k]!.path, {
      method: 'POST',
      headers: calls[k]!.headers ?? {},
      body: bodies[k]!,
    });
    const answer = (await response.json()) as { id?: string };
    times.push(performance.now() - startMs);
    if (status === 'refused' ? response.status < 400 || response.status > 499 : !response.ok) {
      throw new Error(`${response.status}: ${JSON.stringify(answer).slice(0, 300)}`);
    }
    // Registered again, it is read, hashed and packed again.
    if (answer.id !== undefined) await fetch(`${server.url}/v1/models/${answer.id}`, { method: 'DELETE' });
  }
  return times;
}

function report(name: string, latenciesMs: readonly number[], times: readonly number[] = []): void {
  const [p50, p99, max] = [50, 99, 100].map((share) => percentile(latenciesMs, share).toFixed(1));
  const imports = times.length === 0 ? '' : `, ${times.length} files of ${percentile(times, 50).toFixed(0)} ms each`;
  console.log(`${name}: p50 ${p50}, p99 ${p99}, max ${max} ms of ${latenciesMs.length}${imports}`);
  if (times.length > 0 && Number(p99) > P99_MS_MAX) failures++;
}
