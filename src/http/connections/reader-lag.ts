// How far the reader of a connection is behind the least rate at which responses must be read
// (READ_BYTES_PER_S_MIN). A reader that reads at this rate on average is never too slow: it may lag by as much as
// STREAM_STALL_MS, because the system reports what was read in steps of up to a megabyte.
import type { Socket } from 'node:net';

export class ReaderLag {
  readonly #socket: Socket;
  #lagMs = 0;
  /** At the last check, if bytes were waiting for the reader then. */
  #bytesRead: number | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** In ms, at the last check; 0 if nothing waits for the reader. */
  get ms(): number {
    return this.#socket.writableLength > 0 ? this.#lagMs : 0;
  }

  /**
   * Adds the time since the last check, and subtracts the time in which the bytes read since then are
   * read at the least rate.
   *
   * @returns the lag in ms
   */
  check(elapsedMs: number, bytesPerMsMin: number): number {
    if (this.#socket.writableLength === 0) {
      this.#lagMs = 0;
      this.#bytesRead = undefined;
      return 0;
    }
    const bytesRead = bytesReadOf(this.#socket);
    if (this.#bytesRead !== undefined) {
      const coveredMs = (bytesRead - this.#bytesRead) / bytesPerMsMin;
      this.#lagMs = Math.max(0, this.#lagMs - coveredMs) + elapsedMs;
    }
    this.#bytesRead = bytesRead;
    return this.#lagMs;
  }
}

/**
 * The bytes that the system has accepted of all that was written. `bytesWritten` counts a write when it begins,
 * and a write may be many megabytes; how much of it is left only the handle knows, which net.Socket asks for
 * its own timeout as well.
 */
function bytesReadOf(socket: Socket): number {
  const { _handle: handle } = socket as { _handle?: { bytesWritten: number; writeQueueSize: number } };
  if (!handle) return socket.bytesWritten - socket.writableLength;
  return handle.bytesWritten - handle.writeQueueSize;
}
