// A JSON body in linear memory, and the reading of its tensors (kernels/read.ts).
//
//   text block   | body | TEXT_PADDING zeros |
//   job block    | record | tensors | fallbacks | skeleton | numbers |
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
  TENSORS_MAX,
  RANK_MAX,
  TENSOR_BYTES,
  TENSOR_NUMBERS,
  TENSOR_RANK,
  TENSOR_SHAPE,
  TEXT_PADDING,
} from '../kernels/layout.ts';
import type { ByteBlock } from './byte-block.ts';
import type { LinearMemory } from './memory.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;
const U32 = Uint32Array.BYTES_PER_ELEMENT;
/** What stands for a tensor, apart from its first number: brackets, a comma and an index of two digits. */
const PLACEHOLDER_BYTES = 2 * RANK_MAX + 3;

/** Names of tensors in linear memory. */
export class TensorNames {
  readonly ptr: number;
  readonly end: number;
  readonly #memory: LinearMemory;

  constructor(memory: LinearMemory, names: readonly string[]) {
    this.#memory = memory;
    this.ptr = memory.allocate(names.length * READ_NAME_BYTES);
    this.end = this.ptr + names.length * READ_NAME_BYTES;
    names.forEach((name, i) => {
      const entry = memory.u8(this.ptr + i * READ_NAME_BYTES, READ_NAME_BYTES).fill(0);
      if (name.length >= READ_NAME_BYTES) throw new Error(`${name} is too long for a tensor's name`);
      entry.set([name.length, ...Buffer.from(name)]);
    });
  }

  release(): void {
    this.#memory.free(this.ptr);
  }
}

export interface ReadTensor {
  readonly shape: readonly number[];
  /** Where its numbers are, in the job's memory. */
  readonly ptr: number;
  readonly count: number;
}

/** To be run by the kernels. */
export class ReadJob {
  readonly ptr: number;
  readonly #memory: LinearMemory;

  /**
   * @param numbersMax at least as many as the text has
   * @param outsideMax bytes that it may have outside its tensors, without white space
   * @throws memory_full
   */
  constructor(
    memory: LinearMemory,
    names: TensorNames,
    text: ByteBlock,
    numbersMax: number,
    outsideMax: number,
  ) {
    const tensorsAt = READ_BYTES;
    const fallbacksAt = tensorsAt + TENSORS_MAX * TENSOR_BYTES;
    const skeletonAt = fallbacksAt + FALLBACKS_MAX * FALLBACK_BYTES;
    // White space, one for each byte that counts, has room as well.
    const skeletonBytes = Math.min(text.bytes, 2 * outsideMax + 1) + TENSORS_MAX * PLACEHOLDER_BYTES;
    const numbersAt = skeletonAt + Math.ceil(skeletonBytes / 64) * 64;
    const bytes = numbersAt + numbersMax * F32;

    this.#memory = memory;
    const ptr = memory.allocate(bytes);
    this.ptr = ptr;
    const textEnd = text.ptr + text.bytes;
    memory.bytes.fill(0, textEnd, textEnd + TEXT_PADDING);
    const { words } = memory;
    const record = ptr >>> 2;
    words[record + READ_INPUT / U32] = text.ptr;
    words[record + READ_INPUT_END / U32] = textEnd;
    words[record + READ_NAMES / U32] = names.ptr;
    words[record + READ_NAMES_END / U32] = names.end;
    words[record + READ_SKELETON / U32] = ptr + skeletonAt;
    words[record + READ_SKELETON_END / U32] = 0;
    words[record + READ_OUTSIDE_MAX / U32] = outsideMax;
    words[record + READ_TENSORS / U32] = ptr + tensorsAt;
    words[record + READ_NUMBERS / U32] = ptr + numbersAt;
    words[record + READ_NUMBERS_MAX / U32] = ptr + bytes;
    words[record + READ_FALLBACKS / U32] = ptr + fallbacksAt;
    words[record + RECORD_KIND / U32] = KIND_READ;
  }

  /** The text without its tensors, in place; undefined if something in it cannot be read by the kernel. */
  skeleton(): Buffer | undefined {
    const end = this.#word(READ_SKELETON_END);
    if (end === 0) return undefined;
    return this.#memory.bytes.subarray(this.#word(READ_SKELETON), end);
  }

  /** How many keys the objects of the text have. */
  get keys(): number {
    return this.#word(READ_KEYS);
  }

  /** By the index that stands for them in the skeleton. */
  tensors(): readonly ReadTensor[] {
    const { words } = this.#memory;
    const end = this.#word(READ_TENSORS_END);
    const tensors: ReadTensor[] = [];
    for (let ptr = this.#word(READ_TENSORS); ptr < end; ptr += TENSOR_BYTES) {
      const record = ptr >>> 2;
      const rank = words[record + TENSOR_RANK / U32]!;
      const shape: number[] = [];
      let count = 1;
      for (let axis = 0; axis < rank; axis++) {
        const size = words[record + TENSOR_SHAPE / U32 + axis]!;
        shape.push(size);
        count *= size;
      }
      tensors.push({ shape, ptr: words[record + TENSOR_NUMBERS / U32]!, count });
    }
    return tensors;
  }

  /** Its numbers, row-major, in place: to be used before release(). */
  numbers({ ptr, count }: ReadTensor): Float32Array {
    return this.#memory.f32(ptr, count);
  }

  release(): void {
    this.#memory.free(this.ptr);
  }

  #word(field: number): number {
    return this.#memory.words[(this.ptr + field) >>> 2]!;
  }
}
