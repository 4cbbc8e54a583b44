// A block of linear memory for bytes: a body that is appended to as it arrives, or a file that is written in
// place. After its bytes is the padding that the kernels need after their input (kernels/layout.ts).
import { JSON_PADDING } from '../kernels/layout.ts';
import type { LinearMemory } from './memory.ts';

export class ByteBlock implements Disposable {
  /** Address of the first byte. */
  readonly ptr: number;
  readonly #memory: LinearMemory;
  readonly #bytesMax: number;
  #bytes = 0;

  /**
   * @param bytesMax its capacity, in bytes
   * @throws memory_full
   */
  constructor(memory: LinearMemory, bytesMax: number) {
    this.#memory = memory;
    this.#bytesMax = bytesMax;
    this.ptr = memory.allocate(bytesMax + JSON_PADDING);
  }

  /** How many bytes were appended. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Returns false, and appends nothing, if the capacity is exceeded. */
  append(chunk: Uint8Array): boolean {
    if (this.#bytes + chunk.length > this.#bytesMax) return false;
    this.#memory.bytes.set(chunk, this.ptr + this.#bytes);
    this.#bytes += chunk.length;
    return true;
  }

  /** Counts the next `bytes` bytes as appended: the caller writes them to `buffer`. */
  skip(bytes: number): void {
    this.#bytes += bytes;
  }

  /** The whole capacity, to be written in place. Valid until release(). */
  get buffer(): Buffer {
    return this.#memory.bytes.subarray(this.ptr, this.ptr + this.#bytesMax);
  }

  /** What was appended, in place. Valid until release(). */
  view(): Buffer {
    return this.#memory.bytes.subarray(this.ptr, this.ptr + this.#bytes);
  }

  /** Must be called once; so must the disposal, which is the same. */
  release(): void {
    this.#memory.free(this.ptr);
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
