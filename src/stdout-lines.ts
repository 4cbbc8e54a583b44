// Lines of the log on stdout, where that is no terminal: a pipe to a collector, or a file. A collector that reads no more, or a
// disk that is full, costs lines of the log and nothing else: what waits is bounded, no error ends the process, and neither does
// the end of the process wait for them.
import { write as writeAsync, writeSync } from 'node:fs';
import type { DestinationStream } from 'pino';

/** Of lines that wait, about: 3,000 of the access log. Later ones are lost. */
const WAITING_CHARACTERS_MAX = 1024 * 1024;
/** How long after a failed write the next one is tried. */
const RETRY_MS = 100;
/** How long the end of the process may be delayed by lines that wait. */
const END_MS_MAX = 200;

/** The part of `node:fs` that is used. */
export interface FileWriter {
  readonly write: (fd: number, bytes: Buffer, onWritten: (error: NodeJS.ErrnoException | null, count: number) => void) => void;
  readonly writeSync: (fd: number, bytes: Buffer) => number;
}

export class StdoutLines implements DestinationStream {
  readonly #fd: number;
  readonly #writer: FileWriter;
  #waiting: string[] = [];
  #waitingCharacters = 0;
  /** What the current write has not written. */
  #rest: Buffer = Buffer.alloc(0);
  #isWriting = false;
  #retry: NodeJS.Timeout | undefined;
  #lost = 0;
  /** Nobody will read any more. */
  #isBroken = false;
  /** Called when lines can be written again, with the number of those that were lost meanwhile. */
  onLost: ((lines: number) => void) | undefined;

  /** @param fd that does not block: of a pipe, that is so once `process.stdout` was read */
  constructor(fd = 1, writer: FileWriter = { write: writeAsync, writeSync }) {
    this.#fd = fd;
    this.#writer = writer;
  }

  write(line: string): void {
    if (this.#isBroken) return;
    if (this.#waitingCharacters + line.length > WAITING_CHARACTERS_MAX) {
      this.#lost++;
      return;
    }
    this.#waiting.push(line);
    this.#waitingCharacters += line.length;
    if (!this.#isWriting && this.#retry === undefined) this.#writeNext();
  }

  /** Writes what waits as far as that takes no longer than END_MS_MAX; to be called when the process exits. */
  flushSync(): void {
    const endMs = performance.now() + END_MS_MAX;
    // The system ends the write that it has begun before the process is gone.
    let bytes = Buffer.concat([this.#isWriting ? Buffer.alloc(0) : this.#rest, this.#takeWaiting()]);
    while (bytes.length > 0 && !this.#isBroken) {
      try {
        bytes = bytes.subarray(this.#writer.writeSync(this.#fd, bytes));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || performance.now() >= endMs) return;
      }
    }
  }

  #takeWaiting(): Buffer {
    const bytes = Buffer.from(this.#waiting.join(''));
    this.#waiting = [];
    this.#waitingCharacters = 0;
    return bytes;
  }

  #writeNext(): void {
    this.#retry = undefined;
    if (this.#rest.length === 0) this.#rest = this.#takeWaiting();
    if (this.#rest.length === 0) return;
    this.#isWriting = true;
    this.#writer.write(this.#fd, this.#rest, (error, count) => this.#onWritten(error, count));
  }

  #onWritten(error: NodeJS.ErrnoException | null, count: number): void {
    this.#isWriting = false;
    if (!error) {
      this.#rest = this.#rest.subarray(count);
      if (this.#rest.length === 0) this.#reportLost();
      this.#writeNext();
    } else if (error.code === 'EPIPE') {
      this.#isBroken = true;
      this.#rest = Buffer.alloc(0);
      this.#takeWaiting();
    } else {
      this.#retry = setTimeout(() => this.#writeNext(), RETRY_MS).unref();
    }
  }

  #reportLost(): void {
    if (this.#lost === 0) return;
    const lines = this.#lost;
    this.#lost = 0;
    this.onLost?.(lines);
  }
}
