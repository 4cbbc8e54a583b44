// A JSON body in linear memory, and the reading of its tensors (kernels/read.ts).
//
//   text block   | body | TEXT_PADDING zeros |
//   job block    | record | tensors | doubts | skeleton | numbers |
import {
  DOUBT_BYTES,
  DOUBT_NUMBER,
  DOUBT_TEXT,
  DOUBT_TEXT_END,
  KIND_READ,
  READ_BYTES,
  READ_DOUBTS,
  READ_DOUBTS_END,
  READ_DOUBTS_MAX,
  READ_NAMES,
  READ_NAMES_END,
  READ_NAME_BYTES,
  READ_NUMBERS,
  READ_NUMBERS_MAX,
  READ_SKELETON,
  READ_SKELETON_END,
  READ_SKELETON_MAX,
  READ_TENSORS,
  READ_TENSORS_END,
  READ_TEXT,
  READ_TEXT_END,
  RECORD_KIND,
  TENSORS_MAX,
  TENSOR_BYTES,
  TENSOR_NUMBERS,
  TENSOR_RANK,
  TENSOR_SHAPE,
  TEXT_PADDING,
} from '../kernels/layout.ts';
import type { LinearMemory } from './memory.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;
const U32 = Uint32Array.BYTES_PER_ELEMENT;
/** Without its tensors a body is short; one that is not is read in the plain way. */
const SKELETON_BYTES_MAX = 64 * 1024;
/**
 * Room for doubts. Of multiples of 2^-32, printed with 17 digits, one in 256 is the middle of two
 * float32; of other float64s, hardly any is as near to one as to be in doubt.
 */
const DOUBTS_MIN = 8;
const NUMBERS_PER_DOUBT = 64;
/** `,15`: what a tensor's index adds to a text. */
const INDEX_BYTES = 4;

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

/** A text in linear memory, written piece by piece as it comes in. */
export class TextBlock {
  readonly ptr: number;
  readonly #memory: LinearMemory;
  readonly #room: Uint8Array;
  #bytes = 0;

  /** @throws memory_full */
  constructor(memory: LinearMemory, bytesMax: number) {
    this.#memory = memory;
    this.ptr = memory.allocate(bytesMax + TEXT_PADDING);
    this.#room = memory.u8(this.ptr, bytesMax);
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** False if there is no room for it. */
  append(piece: Uint8Array): boolean {
    if (this.#bytes + piece.length > this.#room.length) return false;
    this.#room.set(piece, this.#bytes);
    this.#bytes += piece.length;
    return true;
  }

  copy(): Buffer {
    return Buffer.from(this.#room.subarray(0, this.#bytes));
  }

  release(): void {
    this.#memory.free(this.ptr);
  }
}

export interface ReadTensor {
  readonly shape: readonly number[];
  /** In the job's memory. */
  readonly numbers: Float32Array;
}

/** To be run by the kernels. */
export class ReadJob {
  readonly ptr: number;
  readonly #memory: LinearMemory;
  readonly #record: Uint32Array;

  /**
   * @param numbersMax at least as many as the text has
   * @throws memory_full
   */
  constructor(memory: LinearMemory, names: TensorNames, text: TextBlock, numbersMax: number) {
    const tensorsAt = READ_BYTES;
    const doubtsAt = tensorsAt + TENSORS_MAX * TENSOR_BYTES;
    const doubtsMax = DOUBTS_MIN + Math.ceil(numbersMax / NUMBERS_PER_DOUBT);
    const skeletonAt = doubtsAt + doubtsMax * DOUBT_BYTES;
    const skeletonBytes = Math.min(text.bytes, SKELETON_BYTES_MAX) + TENSORS_MAX * INDEX_BYTES;
    const numbersAt = skeletonAt + Math.ceil(skeletonBytes / 64) * 64;
    const bytes = numbersAt + numbersMax * F32;

    this.#memory = memory;
    const ptr = memory.allocate(bytes);
    this.ptr = ptr;
    memory.u8(text.ptr + text.bytes, TEXT_PADDING).fill(0);
    this.#record = memory.u32(ptr, READ_BYTES / U32);
    this.#set(READ_TEXT, text.ptr);
    this.#set(READ_TEXT_END, text.ptr + text.bytes);
    this.#set(READ_NAMES, names.ptr);
    this.#set(READ_NAMES_END, names.end);
    this.#set(READ_SKELETON, ptr + skeletonAt);
    this.#set(READ_SKELETON_END, 0);
    this.#set(READ_SKELETON_MAX, ptr + skeletonAt + skeletonBytes);
    this.#set(READ_TENSORS, ptr + tensorsAt);
    this.#set(READ_NUMBERS, ptr + numbersAt);
    this.#set(READ_NUMBERS_MAX, ptr + bytes);
    this.#set(READ_DOUBTS, ptr + doubtsAt);
    this.#set(READ_DOUBTS_MAX, ptr + skeletonAt);
    this.#set(RECORD_KIND, KIND_READ);
  }

  /** The text without its tensors; undefined if it has to be read in the plain way. */
  skeleton(): Buffer | undefined {
    const start = this.#get(READ_SKELETON);
    const end = this.#get(READ_SKELETON_END);
    if (end === 0) return undefined;
    return Buffer.from(this.#memory.u8(start, end - start));
  }

  /**
   * By the index that stands for them in the skeleton; undefined if a number is beyond float32. To be
   * called before the text is released.
   */
  tensors(): readonly ReadTensor[] | undefined {
    if (!this.#resolveDoubts()) return undefined;
    const ptr = this.#get(READ_TENSORS);
    const count = (this.#get(READ_TENSORS_END) - ptr) / TENSOR_BYTES;
    return Array.from({ length: count }, (_, i) => {
      const entry = this.#memory.u32(ptr + i * TENSOR_BYTES, TENSOR_BYTES / U32);
      const rank = entry[TENSOR_RANK / U32]!;
      const shape = Array.from(entry.subarray(TENSOR_SHAPE / U32, TENSOR_SHAPE / U32 + rank));
      const size = shape.reduce((product, size) => product * size, 1);
      return { shape, numbers: this.#memory.f32(entry[TENSOR_NUMBERS / U32]!, size) };
    });
  }

  release(): void {
    this.#memory.free(this.ptr);
  }

  /** By the definition of reading: rounded to float64, then to float32. False if one is beyond that. */
  #resolveDoubts(): boolean {
    let allFinite = true;
    const end = this.#get(READ_DOUBTS_END);
    for (let ptr = this.#get(READ_DOUBTS); ptr < end; ptr += DOUBT_BYTES) {
      const doubt = this.#memory.u32(ptr, DOUBT_BYTES / U32);
      const [text, textEnd] = [doubt[DOUBT_TEXT / U32]!, doubt[DOUBT_TEXT_END / U32]!];
      const decimal = Buffer.from(this.#memory.u8(text, textEnd - text)).toString('latin1');
      const number = this.#memory.f32(doubt[DOUBT_NUMBER / U32]!, 1);
      number[0] = Number(decimal);
      allFinite &&= Number.isFinite(number[0]);
    }
    return allFinite;
  }

  #get(field: number): number {
    return this.#record[field / U32]!;
  }

  #set(field: number, value: number): void {
    this.#record[field / U32] = value;
  }
}
