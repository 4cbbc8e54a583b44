// Bytes that are read only to be thrown away, as the rest of a body that was refused. Connections take turns, in which each
// has some bytes, as nobody waits for them and the requests of all others would:
//
// - libuv reads up to 2 MiB from one connection before it serves the next.
// - Each 64 MiB in buffers that JavaScript gets are a full garbage collection, of 5 to 20 ms.
//
// So clients that send what is refused take a bounded part of the main thread, however many they are.
import type { Socket } from 'node:net';

/** 16 MiB a second in all. What Node reads at once is 64 KiB at most. */
const TURN_BYTES = 64 * 1024;
const TURN_MS = 4;

// A thread has one event loop, so these belong to it.
/** Those that wait for their turn, in this order. */
const waiting = new Set<Socket>();
let leftBytes = 0;
let timer: NodeJS.Timeout | undefined;

/** Reads a socket until its end, and throws away what arrives. */
export function discard(socket: Socket): void {
  // Not before it reads: Node's HTTP parser takes the bytes past the stream until someone listens for them, and from then on
  // the stream goes on only if the parser was reading.
  socket.once('resume', () => {
    socket.on('data', (chunk: Buffer) => {
      leftBytes -= chunk.length;
      if (leftBytes <= 0) waitForTurn(socket);
    });
  });
  waitForTurn(socket);
}

function waitForTurn(socket: Socket): void {
  socket.pause();
  waiting.add(socket);
  timer ??= setTimeout(nextTurn, TURN_MS);
}

function nextTurn(): void {
  timer = undefined;
  leftBytes = TURN_BYTES;
  for (const socket of waiting) {
    waiting.delete(socket);
    if (socket.destroyed) continue;
    socket.resume();
    break;
  }
  // The others have theirs even if this one has nothing to read.
  if (waiting.size > 0) timer = setTimeout(nextTurn, TURN_MS);
}
