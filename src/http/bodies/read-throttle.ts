// Long bodies share the event loop. libuv reads up to 32 chunks of 64 KiB from one connection before it serves
// the next: with sixteen bodies arriving, a request that needs no work would wait for 32 MB to be read.
import type { Readable } from 'node:stream';

/** Received in one event-loop iteration; each body may add a chunk or two to it. */
const ITERATION_BYTES_MAX = 256 * 1024;

// A thread has one event loop, so these belong to its current iteration.
let receivedBytes = 0;
const paused: Readable[] = [];

/** To be called with each chunk of a long body; pauses the body until the next iteration if too much arrived. */
export function throttleReads(body: Readable, bytes: number): void {
  if (receivedBytes === 0) setImmediate(resumeAll);
  receivedBytes += bytes;
  if (receivedBytes < ITERATION_BYTES_MAX) return;
  body.pause();
  paused.push(body);
}

function resumeAll(): void {
  receivedBytes = 0;
  for (const body of paused.splice(0)) body.resume();
}
