// A long stream to a reader that is slower than the computation, and the memory the server needs
// meanwhile: resident pages as the kernel counts them, beyond those of the idle process.
import { readFileSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunningServer } from '../helpers/process.ts';
import { nested, randomRecurrence, weightsBody } from '../helpers/recurrence.ts';

const [T, N, D, H] = [65_536, 1, 1, 128];
const SAMPLE_MS = 10;

export interface SlowReading {
  readonly receivedBytes: number;
  /** Largest seen, beyond the idle server's. */
  readonly grownBytes: number;
  /** What came last: the text behind the last line break but one, if the stream has ended. */
  readonly lastLine: string | undefined;
}

export interface SlowReadingOptions {
  readonly bytesPerMs: number;
  readonly durationMs: number;
  readonly grownBytesMax?: number;
}

/** The computation, about 90 MB of text as a stream. */
export function longStream() {
  const { weights, x } = randomRecurrence({ T, N, D, H }, 5);
  return { weights: weightsBody(weights), x: nested(x, [T, N, D]) };
}

/**
 * Reads the stream at most at `bytesPerMs`, until it ends, for `durationMs`, or until the server has grown by
 * more than `grownBytesMax`, then hangs up.
 */
export async function readSlowly(
  server: RunningServer,
  { bytesPerMs, durationMs, grownBytesMax = Infinity }: SlowReadingOptions,
): Promise<SlowReading> {
  const pid = server.process.pid!;
  const idleBytes = residentBytes(pid);
  const response = await post(server, JSON.stringify(longStream()));
  const start = performance.now();
  let receivedBytes = 0;
  let peakBytes = idleBytes;
  let tail = '';
  const isOver = () =>
    response.readableEnded ||
    performance.now() - start > durationMs ||
    peakBytes - idleBytes > grownBytesMax;
  while (!isOver()) {
    while (receivedBytes < bytesPerMs * (performance.now() - start)) {
      const chunk = response.read() as Buffer | null;
      if (chunk === null) break;
      receivedBytes += chunk.length;
      tail = (tail + chunk.toString('latin1')).slice(-8_192);
    }
    peakBytes = Math.max(peakBytes, residentBytes(pid));
    await sleep(SAMPLE_MS);
  }
  const lastLine = response.readableEnded ? tail.split('\n').at(-2) : undefined;
  response.destroy();
  return { receivedBytes, grownBytes: peakBytes - idleBytes, lastLine };
}

async function post(server: RunningServer, body: string): Promise<IncomingMessage> {
  const headers = { 'content-type': 'application/json', accept: 'application/x-ndjson' };
  const sent = request(`${server.url}/v1/sequence`, { method: 'POST', headers });
  sent.end(body);
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    sent.once('response', resolve).once('error', reject);
  });
  // Cut connections are the server's to show; here they only end the reading.
  response.on('error', () => {});
  return response;
}

function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)![1]) * 1024;
}
