// The end of listening, without the loss of connections that are about to be accepted.
import type { Server } from 'node:http';
import { Server as TcpServer } from 'node:net';
import { setImmediate as nextIteration } from 'node:timers/promises';

/** How long the event loop is watched. */
const WATCHED_MS = 50;
/** How long a good moment is waited for then. */
const WAIT_MS_MAX = 200;
/** Connections come in groups: while there are some, more are to be expected. */
const CALM_MS = 30;
/** A little more than the shortest iteration that was seen. */
const SHORT_FACTOR = 1.5;

/**
 * Stops listening; connections that are open stay so. A connection that the system has accepted and this process has
 * not is reset, and with it the request that its peer has sent already. So this is done right after new connections were
 * taken, in an iteration of the event loop in which little else was done, and a while after the last one.
 */
export async function stopListening(server: Server): Promise<void> {
  let connectedMs = performance.now();
  const onConnection = () => {
    connectedMs = performance.now();
  };
  server.on('connection', onConnection);
  const startMs = performance.now();
  let shortestMs = Infinity;
  for (;;) {
    const ms = await iterate();
    shortestMs = Math.min(shortestMs, ms);
    const nowMs = performance.now();
    if (nowMs - startMs > WATCHED_MS + WAIT_MS_MAX) break;
    const isCalm = nowMs - connectedMs > CALM_MS && ms < SHORT_FACTOR * shortestMs;
    if (isCalm && nowMs - startMs > WATCHED_MS) break;
  }
  server.off('connection', onConnection);
  // Not by the method of HTTP servers, which also closes idle connections and looks for late requests no more.
  TcpServer.prototype.close.call(server);
}

/** Resolves right after the next look for what has arrived. @returns how long the iteration took, in ms */
async function iterate(): Promise<number> {
  const startMs = performance.now();
  await nextIteration();
  return performance.now() - startMs;
}
