// The end of a connection whose peer may still be sending. Bytes that are not read make the system reset the
// connection, and the peer would lose the last response. So this side is closed for writing, and reading goes
// on until nothing has arrived for a while, within bounds of time and bytes (RFC 9112, section 9.6).
import type { Socket } from 'node:net';
import { discard } from './discard.ts';

/** A peer that has sent nothing for this time is considered to have stopped. */
const QUIET_MS = 1_000;
const LINGER_MS_MAX = 5_000;
const LINGER_BYTES_MAX = 64 * 1024 * 1024;

export class LingeringClose {
  readonly #socket: Socket;
  readonly #startMs: number;
  readonly #startBytes: number;
  /** When bytes were last seen to have arrived, and how many had arrived in all. */
  #arrivedMs: number;
  #arrivedBytes: number;

  /** Closes the socket for writing and discards what arrives. */
  constructor(socket: Socket, nowMs: number) {
    this.#socket = socket;
    this.#startMs = nowMs;
    this.#startBytes = socket.bytesRead;
    this.#arrivedMs = nowMs;
    this.#arrivedBytes = socket.bytesRead;
    socket.end();
    discard(socket);
  }

  /** Whether the connection is to be terminated now. @param requestMsMax time limit of a whole request */
  isOver(nowMs: number, requestMsMax: number): boolean {
    const { bytesRead } = this.#socket;
    if (bytesRead !== this.#arrivedBytes) {
      this.#arrivedBytes = bytesRead;
      this.#arrivedMs = nowMs;
    }
    return (
      nowMs - this.#arrivedMs > QUIET_MS ||
      nowMs - this.#startMs > Math.min(LINGER_MS_MAX, requestMsMax / 2) ||
      bytesRead - this.#startBytes > LINGER_BYTES_MAX
    );
  }
}
