// The linear memory that all kernel instances share, and its allocator: first fit over a list of free blocks.
//
// Only the main thread allocates and frees; workers read and write what a job points to. Free blocks are sorted by
// address, so a freed block is merged with its free neighbours. The memory grows to the largest working set it has had
// and never shrinks: WebAssembly cannot give pages back.
import { CarryoverError } from '../errors.ts';

const PAGE_BYTES = 65_536;
/** One page less than 4 GiB, so that the end of every block is an address of 32 bits. */
const PAGES_MAX = 65_535;
/** A cache line: no two jobs share one, and every vector load is aligned. */
const ALIGN_BYTES = 64;
const GROW_BYTES_MIN = 4 * 1024 * 1024;
/** Bytes below this address hold the kernels' constants; address 0 is never a block. */
const RESERVED_BYTES = PAGE_BYTES;

interface Block {
  ptr: number;
  bytes: number;
}

export class LinearMemory {
  readonly memory: WebAssembly.Memory;
  readonly bytesMax: number;
  #free: Block[] = [];
  #used = new Map<number, number>();
  #bytesUsed = 0;
  /** Growing makes a new buffer object for the same memory; older views keep the one they were made from. */
  readonly #buffers = new WeakSet<ArrayBufferLike>();
  /** The newest of them: reading memory.buffer takes longer than making a view. */
  #buffer!: SharedArrayBuffer;
  #words!: Uint32Array;
  #bytes!: Buffer;
  readonly #evictors: (() => boolean)[] = [];

  /** @param bytesMax the limit of the whole memory, in bytes; at most 4 GiB less 64 KiB */
  constructor(bytesMax: number) {
    const maximum = Math.min(PAGES_MAX, Math.ceil(bytesMax / PAGE_BYTES));
    this.bytesMax = maximum * PAGE_BYTES;
    this.memory = new WebAssembly.Memory({
      initial: RESERVED_BYTES / PAGE_BYTES,
      maximum,
      shared: true,
    });
    this.#renewViews();
  }

  /** Bytes of all allocated blocks. */
  get bytesUsed(): number {
    return this.#bytesUsed;
  }

  /** Bytes the memory has grown to, free blocks included. */
  get bytesGrown(): number {
    return this.memory.buffer.byteLength;
  }

  /**
   * Registers a function that is called, before memory_full is thrown, until it returns false.
   *
   * @param evict frees a block whose contents can be made again, and allocates nothing; false if it has none
   */
  addEvictor(evict: () => boolean): void {
    this.#evictors.push(evict);
  }

  /**
   * A block of at least `bytes` bytes, 64-byte aligned, its contents undefined.
   *
   * @throws memory_full when neither a free block, nor growth, nor eviction can provide it
   */
  allocate(bytes: number): number {
    const wanted = Math.max(ALIGN_BYTES, Math.ceil(bytes / ALIGN_BYTES) * ALIGN_BYTES);
    let index = this.#free.findIndex((block) => block.bytes >= wanted);
    while (index < 0) {
      if (!this.#grow(wanted) && !this.#evict()) throw this.#full(wanted);
      index = this.#free.findIndex((block) => block.bytes >= wanted);
    }
    const block = this.#free[index]!;
    const { ptr } = block;
    if (block.bytes === wanted) this.#free.splice(index, 1);
    else {
      block.ptr += wanted;
      block.bytes -= wanted;
    }
    this.#used.set(ptr, wanted);
    this.#bytesUsed += wanted;
    return ptr;
  }

  /** Frees an allocated block. @throws Error if there is no such block */
  free(ptr: number): void {
    const bytes = this.#used.get(ptr);
    if (bytes === undefined) throw new Error(`free of ${ptr}, which is not an allocated block`);
    this.#used.delete(ptr);
    this.#bytesUsed -= bytes;
    this.#addFree({ ptr, bytes });
  }

  /** A view of `count` float32 at `ptr`. It stays valid when the memory grows. */
  f32(ptr: number, count: number): Float32Array<SharedArrayBuffer> {
    return new Float32Array(this.#buffer, ptr, count);
  }

  u32(ptr: number, count: number): Uint32Array<SharedArrayBuffer> {
    return new Uint32Array(this.#buffer, ptr, count);
  }

  u8(ptr: number, count: number): Uint8Array<SharedArrayBuffer> {
    return new Uint8Array(this.#buffer, ptr, count);
  }

  /**
   * All words of the memory; that at `ptr` is words[ptr >>> 2]. Making a view costs more than writing the few fields of
   * a record. To be read again after every allocate(), which may grow the memory.
   */
  get words(): Uint32Array {
    return this.#words;
  }

  /** All bytes of the memory; that at `ptr` is bytes[ptr]. To be read again after every allocate(). */
  get bytes(): Buffer {
    return this.#bytes;
  }

  /** Whether a view is of this memory. */
  holds({ buffer }: ArrayBufferView): boolean {
    return this.#buffers.has(buffer);
  }

  #renewViews(): void {
    this.#buffer = this.memory.buffer as ArrayBufferLike as SharedArrayBuffer;
    this.#buffers.add(this.#buffer);
    this.#words = new Uint32Array(this.#buffer);
    this.#bytes = Buffer.from(this.#buffer);
  }

  /** False if the memory may not grow by that many bytes. */
  #grow(wanted: number): boolean {
    const end = this.bytesGrown;
    const last = this.#free.at(-1);
    const freeAtEnd = last !== undefined && last.ptr + last.bytes === end ? last.bytes : 0;
    const missing = wanted - freeAtEnd;
    const growableBytes = this.bytesMax - end;
    if (missing > growableBytes) return false;
    const pages = Math.ceil(Math.min(growableBytes, Math.max(missing, GROW_BYTES_MIN)) / PAGE_BYTES);
    this.memory.grow(pages);
    this.#renewViews();
    this.#addFree({ ptr: end, bytes: pages * PAGE_BYTES });
    return true;
  }

  #evict(): boolean {
    return this.#evictors.some((evict) => evict());
  }

  #full(wanted: number): CarryoverError {
    return new CarryoverError('memory_full', {
      detail:
        `This needs ${wanted} bytes of tensor memory; ${this.#bytesUsed} of ` +
        `${this.bytesMax} are in use. Send a smaller request, or retry when others are done.`,
    });
  }

  /** Inserts a free block, merged with the free blocks before and after it. */
  #addFree(block: Block): void {
    const found = this.#free.findIndex((other) => other.ptr > block.ptr);
    const at = found < 0 ? this.#free.length : found;
    const before = this.#free[at - 1];
    const after = this.#free[at];
    if (after && block.ptr + block.bytes === after.ptr) {
      after.ptr = block.ptr;
      after.bytes += block.bytes;
      if (before && before.ptr + before.bytes === after.ptr) {
        before.bytes += after.bytes;
        this.#free.splice(at, 1);
      }
    } else if (before && before.ptr + before.bytes === block.ptr) {
      before.bytes += block.bytes;
    } else {
      this.#free.splice(at, 0, block);
    }
  }
}
