// The record with which the kernels read a JSON document (kernels/read.ts), and what they have made of it.
//
//   document     | JSON | JSON_PADDING zeros |
//   job block    | record | tensor records | fallback records | skeleton | numbers, float32 |
//
// The fields are accessed by their index: through record.ts a short document would take 0.6 µs instead of 0.5.
import {
  FALLBACKS_MAX,
  FALLBACK_BYTES,
  KIND_READ,
  READ_BYTES,
  READ_FALLBACKS,
  READ_KEYS,
  READ_NAMES,
  READ_NAMES_END,
  READ_NAME_BYTES,
  READ_NAME_LIST,
  READ_NUMBERS,
  READ_NUMBERS_MAX,
  READ_OUTSIDE_MAX,
  READ_SKELETON,
  READ_SKELETON_END,
  READ_TENSORS,
  READ_TENSORS_END,
  READ_INPUT,
  READ_INPUT_END,
  RECORD_KIND,
  RANK_MAX,
  TENSORS_MAX,
  TENSOR_BYTES,
  TENSOR_NUMBERS,
  TENSOR_RANK,
  TENSOR_SHAPE,
  JSON_PADDING,
} from '../kernels/layout.ts';
import type { ByteBlock } from './byte-block.ts';
import type { LinearMemory } from './memory.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;
const U32 = Uint32Array.BYTES_PER_ELEMENT;
/** A placeholder in the skeleton, without its number: brackets, a comma and an index of three digits. */
const PLACEHOLDER_BYTES = 2 * RANK_MAX + 4;

/** The names of the fields that are tensors, as a table in linear memory. */
export class TensorNames implements Disposable {
  readonly ptr: number;
  readonly end: number;
  readonly #memory: LinearMemory;

  /**
   * @param names of less than READ_NAME_LIST bytes
   * @param lists those whose values may be lists of tensors
   * @throws memory_full
   */
  constructor(memory: LinearMemory, names: readonly string[], lists: readonly string[] = []) {
    this.#memory = memory;
    this.ptr = memory.allocate(names.length * READ_NAME_BYTES);
    this.end = this.ptr + names.length * READ_NAME_BYTES;
    names.forEach((name, i) => {
      const entry = memory.u8(this.ptr + i * READ_NAME_BYTES, READ_NAME_BYTES).fill(0);
      if (name.length >= READ_NAME_LIST) throw new Error(`${name} is too long for a tensor's name`);
      entry.set([name.length, ...Buffer.from(name)]);
      entry[READ_NAME_LIST] = lists.includes(name) ? 1 : 0;
    });
  }

  [Symbol.dispose](): void {
    this.#memory.free(this.ptr);
  }
}

export interface ReadJobOptions {
  readonly names: TensorNames;
  /** At least as many numbers as the document has: one more than its commas. */
  readonly numbersMax: number;
  /** Bytes that the document may have outside its tensors, without white space. */
  readonly outsideBytesMax: number;
}

/** Owns the job block. The document must stay until the kernels have run the job. */
export class ReadJob implements Disposable {
  /** Address of the record, for Kernels.run. */
  readonly ptr: number;
  readonly #memory: LinearMemory;
  #isReleased = false;

  /** @throws memory_full */
  constructor(
    memory: LinearMemory,
    document: ByteBlock,
    { names, numbersMax, outsideBytesMax }: ReadJobOptions,
  ) {
    const tensorsAt = READ_BYTES;
    const fallbacksAt = tensorsAt + TENSORS_MAX * TENSOR_BYTES;
    const skeletonAt = fallbacksAt + FALLBACKS_MAX * FALLBACK_BYTES;
    // Of white space the kernel leaves one byte at most for each byte that counts.
    const skeletonBytes =
      Math.min(document.bytes, 2 * outsideBytesMax + 1) + TENSORS_MAX * PLACEHOLDER_BYTES;
    const numbersAt = skeletonAt + Math.ceil(skeletonBytes / 64) * 64;
    const bytes = numbersAt + numbersMax * F32;

    this.#memory = memory;
    const ptr = memory.allocate(bytes);
    this.ptr = ptr;
    const documentEnd = document.ptr + document.bytes;
    memory.bytes.fill(0, documentEnd, documentEnd + JSON_PADDING);
    const { words } = memory;
    const record = ptr >>> 2;
    words[record + READ_INPUT / U32] = document.ptr;
    words[record + READ_INPUT_END / U32] = documentEnd;
    words[record + READ_NAMES / U32] = names.ptr;
    words[record + READ_NAMES_END / U32] = names.end;
    words[record + READ_SKELETON / U32] = ptr + skeletonAt;
    words[record + READ_SKELETON_END / U32] = 0;
    words[record + READ_OUTSIDE_MAX / U32] = outsideBytesMax;
    words[record + READ_TENSORS / U32] = ptr + tensorsAt;
    words[record + READ_NUMBERS / U32] = ptr + numbersAt;
    words[record + READ_NUMBERS_MAX / U32] = ptr + bytes;
    words[record + READ_FALLBACKS / U32] = ptr + fallbacksAt;
    words[record + RECORD_KIND / U32] = KIND_READ;
  }

  /** The document with placeholders for its tensors, in place; undefined if the kernel has declined it. */
  skeleton(): Buffer | undefined {
    const end = this.#word(READ_SKELETON_END);
    if (end === 0) return undefined;
    return this.#memory.bytes.subarray(this.#word(READ_SKELETON), end);
  }

  /** How many keys the objects of the document have, one that appears twice counted twice. */
  get keys(): number {
    return this.#word(READ_KEYS);
  }

  /** By their index in the skeleton. */
  tensors(): readonly ReadTensor[] {
    const { words } = this.#memory;
    const end = this.#word(READ_TENSORS_END);
    const tensors: ReadTensor[] = [];
    for (let ptr = this.#word(READ_TENSORS); ptr < end; ptr += TENSOR_BYTES) {
      const record = ptr >>> 2;
      const rank = words[record + TENSOR_RANK / U32]!;
      const shape: number[] = [];
      for (let axis = 0; axis < rank; axis++) shape.push(words[record + TENSOR_SHAPE / U32 + axis]!);
      tensors.push(new ReadTensor(this, shape, words[record + TENSOR_NUMBERS / U32]!));
    }
    return tensors;
  }

  /** `count` float32 of the job block, in place; undefined once the job was released. */
  numbersAt(ptr: number, count: number): Float32Array | undefined {
    return this.#isReleased ? undefined : this.#memory.f32(ptr, count);
  }

  /** May be called twice. The tensors cannot be read afterwards. */
  release(): void {
    if (!this.#isReleased) this.#memory.free(this.ptr);
    this.#isReleased = true;
  }

  [Symbol.dispose](): void {
    this.release();
  }

  #word(field: number): number {
    return this.#memory.words[(this.ptr + field) >>> 2]!;
  }
}

/** A tensor that a job has read, in the memory of that job. */
export class ReadTensor {
  /** The sizes of its axes, the outermost first. */
  readonly shape: readonly number[];
  readonly #job: ReadJob;
  readonly #ptr: number;

  constructor(job: ReadJob, shape: readonly number[], ptr: number) {
    this.shape = shape;
    this.#job = job;
    this.#ptr = ptr;
  }

  /** The elements, row-major, all finite, in place; undefined once the job was released. */
  numbers(): Float32Array | undefined {
    let count = 1;
    for (const size of this.shape) count *= size;
    return this.#job.numbersAt(this.#ptr, count);
  }
}
