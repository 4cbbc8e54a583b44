// Long bodies take turns. libuv reads up to 32 chunks of 64 KiB from one connection before it looks at the
// next: with sixteen bodies coming in, a request for which there is nothing to do would wait for 32 MB.
import type { Readable } from 'node:stream';

/** So much is received in one turn of the event loop, and a chunk or two of each body more. */
const TURN_BYTES_MAX = 256 * 1024;

// A thread has one event loop: these are of its current turn.
let turnBytes = 0;
const waiting: Readable[] = [];

/** To be called with what a body has received: it may have to wait for the next turn. */
export function throttleReads(body: Readable, bytes: number): void {
  if (turnBytes === 0) setImmediate(nextTurn);
  turnBytes += bytes;
  if (turnBytes < TURN_BYTES_MAX) return;
  body.pause();
  waiting.push(body);
}

function nextTurn(): void {
  turnBytes = 0;
  for (const body of waiting.splice(0)) body.resume();
}
