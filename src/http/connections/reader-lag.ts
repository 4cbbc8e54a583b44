// How far the reader of a connection is behind the least rate at which responses must be read
// (READ_BYTES_PER_S_MIN). A reader that takes this rate on average is never too slow: it may lag by as much as
// STREAM_STALL_MS, because the system reports what was read in steps of up to a megabyte.
import type { Socket } from 'node:net';

export class ReaderLag {
  readonly #socket: Socket;
  #lagMs = 0;
  /** At the last check, if bytes were waiting for the reader then. */
  #bytesTaken: number | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** In ms, at the last check; 0 if nothing waits for the reader. */
  get ms(): number {
    return this.#socket.writableLength > 0 ? this.#lagMs : 0;
  }

  /**
   * Adds the time since the last check, and subtracts the time that the bytes taken since then are worth.
   *
   * @returns the lag in ms
   */
  check(elapsedMs: number, bytesPerMsMin: number): number {
    if (this.#socket.writableLength === 0) {
      this.#lagMs = 0;
      this.#bytesTaken = undefined;
      return 0;
    }
    const bytesTaken = bytesTakenOf(this.#socket);
    if (this.#bytesTaken !== undefined) {
      const paidMs = (bytesTaken - this.#bytesTaken) / bytesPerMsMin;
      this.#lagMs = Math.max(0, this.#lagMs - paidMs) + elapsedMs;
    }
    this.#bytesTaken = bytesTaken;
    return this.#lagMs;
  }
}

/**
 * The bytes that the system has taken of all that was written. `bytesWritten` counts a write when it begins,
 * and a write may be many megabytes; how much of it is left only the handle knows, which net.Socket asks for
 * its own timeout as well.
 */
function bytesTakenOf(socket: Socket): number {
  const { _handle: handle } = socket as { _handle?: { bytesWritten: number; writeQueueSize: number } };
  if (!handle) return socket.bytesWritten - socket.writableLength;
  return handle.bytesWritten - handle.writeQueueSize;
}
