// A body's block that has become too small is copied to a larger one slice by slice while further chunks arrive:
// copying 16 MiB at once, to memory that is touched for the first time, takes the event loop 4 to 12 ms.
import type { ByteBlock } from '../../wasm/byte-block.ts';

/**
 * One slice is copied for each chunk that arrives, and a slice is four times as long as a chunk. So the copy is
 * complete when the body has grown by a quarter, long before its block is full.
 */
const SLICE_BYTES = 256 * 1024;

/** The copy of the bytes of one block to the beginning of another. It owns the source. */
export class BlockCopy implements Disposable {
  readonly #source: ByteBlock;
  readonly #target: ByteBlock;
  #copied = 0;
  #isReleased = false;

  /**
   * What is appended to the target from now on follows the bytes of the source.
   *
   * @param target an empty block with a larger capacity
   */
  constructor(source: ByteBlock, target: ByteBlock) {
    this.#source = source;
    this.#target = target;
    target.skip(source.bytes);
  }

  /** Copies the next slice. @returns whether all is copied; the source is then released */
  next(): boolean {
    const { bytes } = this.#source;
    const slice = this.#source.view().subarray(this.#copied, this.#copied + SLICE_BYTES);
    this.#target.buffer.set(slice, this.#copied);
    this.#copied += slice.length;
    if (this.#copied < bytes) return false;
    this[Symbol.dispose]();
    return true;
  }

  /** Releases the source, copied or not. May be called again. */
  [Symbol.dispose](): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#source.release();
  }
}
