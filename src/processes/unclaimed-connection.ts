// node:cluster gives a new connection to a process and keeps its own hold of it until the process has confirmed. If the process
// is killed in between, Node.js keeps it for ever: the client waits for an answer that nobody gives, and the process never counts
// as disconnected.
import type { EventEmitter } from 'node:events';

/** What is used of a child process. Messages of node:cluster are internal to Node.js. */
export interface Child extends EventEmitter {
  send(message: unknown, ...rest: unknown[]): boolean;
}

interface ClusterMessage {
  /** Of a connection that is given: `newconn`. */
  readonly act?: unknown;
  /** Of the confirmation; false if the process does not listen any more, and another gets the connection. */
  readonly accepted?: unknown;
}

/** After its exit a process is disconnected as soon as its last messages are read. */
const DISCONNECT_MS_MAX = 200;

/** When `child` has ended, closes the connection that it was given and has not confirmed, of which there is one at most. */
export function closeUnclaimed(child: Child): void {
  let unclaimed: { close(): void } | undefined;
  const send = child.send.bind(child);
  child.send = (message, ...rest) => {
    if ((message as ClusterMessage).act === 'newconn') unclaimed = rest[0] as typeof unclaimed;
    return send(message, ...rest);
  };
  child.on('internalMessage', ({ accepted }: ClusterMessage) => {
    if (accepted !== undefined) unclaimed = undefined;
  });
  let isConnected = true;
  child.once('disconnect', () => {
    isConnected = false;
  });
  child.once('exit', () => {
    unclaimed?.close();
    setTimeout(() => {
      if (isConnected) child.emit('disconnect');
    }, DISCONNECT_MS_MAX);
  });
}
