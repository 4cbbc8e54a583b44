// Bytes in linear memory: a body, text or file, written piece by piece as it comes in; or an answer, written
// directly. Behind them is the room that the kernels want behind a text.
import { TEXT_PADDING } from '../kernels/layout.ts';
import type { LinearMemory } from './memory.ts';

export class ByteBlock {
  readonly ptr: number;
  readonly #memory: LinearMemory;
  readonly #bytesMax: number;
  #bytes = 0;

  /** @throws memory_full */
  constructor(memory: LinearMemory, bytesMax: number) {
    this.#memory = memory;
    this.#bytesMax = bytesMax;
    this.ptr = memory.allocate(bytesMax + TEXT_PADDING);
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** False if there is no room for it. */
  append(piece: Uint8Array): boolean {
    if (this.#bytes + piece.length > this.#bytesMax) return false;
    this.#memory.bytes.set(piece, this.ptr + this.#bytes);
    this.#bytes += piece.length;
    return true;
  }

  /** All its bytes, to be written to directly. */
  get room(): Buffer {
    return this.#memory.bytes.subarray(this.ptr, this.ptr + this.#bytesMax);
  }

  /** What has been appended, in place: to be read before release(). */
  view(): Buffer {
    return this.#memory.bytes.subarray(this.ptr, this.ptr + this.#bytes);
  }

  release(): void {
    this.#memory.free(this.ptr);
  }
}
