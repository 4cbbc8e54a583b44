// The record with which the kernels print JSON (kernels/print.ts): segments, each some text and then a tensor.
//
//   job block    | record | segment records | texts | tensors from outside linear memory | printed JSON |
//
// The fields are accessed by their index: through record.ts a job of two short tensors would take 0.05 µs more.
import type { JsonSegment } from '../codec/json/segments.ts';
import {
  KIND_PRINT,
  SEGMENT_AXES,
  SEGMENT_AXIS_BYTES,
  SEGMENT_BYTES,
  SEGMENT_TEXT,
  SEGMENT_TEXT_END,
  SEGMENT_NUMBERS,
  SEGMENT_RANK,
  PRINTED_BYTES_MAX,
  PRINT_BYTES,
  PRINT_SEGMENTS,
  PRINT_SEGMENTS_END,
  PRINT_OUTPUT,
  PRINT_OUTPUT_END,
  RANK_MAX,
  RECORD_KIND,
  JSON_PADDING,
} from '../kernels/layout.ts';
import type { TensorView } from '../tensor.ts';
import type { LinearMemory } from './memory.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;
const U32 = Uint32Array.BYTES_PER_ELEMENT;
/** Brackets around the elements of an axis, and the comma after them. */
const AXIS_BYTES_MAX = 3;

/** Owns the job block. Tensors in linear memory must stay until the kernels have run the job. */
export class PrintJob implements Disposable {
  /** Address of the record, for Kernels.run. */
  readonly ptr: number;
  /** How many numbers the tensors have. */
  readonly numbers: number;
  readonly #memory: LinearMemory;
  readonly #outputPtr: number;

  /**
   * @param segments their tensors have at most RANK_MAX axes and finite numbers only
   * @throws memory_full
   */
  constructor(memory: LinearMemory, segments: readonly JsonSegment[]) {
    const { numbers, textsBytes, copiedBytes, tensorsBytesMax } = sizesOf(memory, segments);
    const textsAt = PRINT_BYTES + segments.length * SEGMENT_BYTES;
    const copiesAt = Math.ceil((textsAt + textsBytes) / F32) * F32;
    const outputAt = copiesAt + copiedBytes;
    const ptr = memory.allocate(outputAt + textsBytes + tensorsBytesMax + JSON_PADDING);
    this.#memory = memory;
    this.ptr = ptr;
    this.#outputPtr = ptr + outputAt;
    this.numbers = numbers;

    const { words } = memory;
    const record = ptr >>> 2;
    words[record + PRINT_SEGMENTS / U32] = ptr + PRINT_BYTES;
    words[record + PRINT_SEGMENTS_END / U32] = ptr + textsAt;
    words[record + PRINT_OUTPUT / U32] = this.#outputPtr;
    words[record + RECORD_KIND / U32] = KIND_PRINT;
    this.#writeSegments(segments, ptr + textsAt, ptr + copiesAt);
  }

  /** The JSON, in place, once the kernels have run the job. Valid until release(). */
  view(): Buffer {
    const { words, bytes } = this.#memory;
    return bytes.subarray(this.#outputPtr, words[(this.ptr + PRINT_OUTPUT_END) >>> 2]);
  }

  /** Must be called once; so must the disposal, which is the same. */
  release(): void {
    this.#memory.free(this.ptr);
  }

  [Symbol.dispose](): void {
    this.release();
  }

  #writeSegments(segments: readonly JsonSegment[], textPtr: number, copyPtr: number): void {
    const { words, bytes } = this.#memory;
    let segment = (this.ptr + PRINT_BYTES) >>> 2;
    for (const { text, tensor } of segments) {
      words[segment + SEGMENT_TEXT / U32] = textPtr;
      textPtr += bytes.write(text, textPtr);
      words[segment + SEGMENT_TEXT_END / U32] = textPtr;
      words[segment + SEGMENT_RANK / U32] = tensor?.shape.length ?? 0;
      if (tensor) {
        this.#writeAxes(segment, tensor);
        const { data } = tensor;
        if (this.#memory.holds(data)) words[segment + SEGMENT_NUMBERS / U32] = data.byteOffset;
        else {
          this.#memory.f32(copyPtr, data.length).set(data);
          words[segment + SEGMENT_NUMBERS / U32] = copyPtr;
          copyPtr += data.byteLength;
        }
      }
      segment += SEGMENT_BYTES / U32;
    }
  }

  #writeAxes(segment: number, { shape, strides }: TensorView): void {
    if (shape.length > RANK_MAX) throw new Error(`a tensor of ${shape.length} axes`);
    const { words } = this.#memory;
    let axisAt = segment + SEGMENT_AXES / U32;
    for (let axis = 0; axis < shape.length; axis++, axisAt += SEGMENT_AXIS_BYTES / U32) {
      words[axisAt] = shape[axis]!;
      words[axisAt + 1] = strides[axis]! * F32;
    }
  }
}

interface Sizes {
  readonly numbers: number;
  readonly textsBytes: number;
  /** Of the tensors from outside linear memory. */
  readonly copiedBytes: number;
  /** Of the tensors, printed. */
  readonly tensorsBytesMax: number;
}

function sizesOf(memory: LinearMemory, segments: readonly JsonSegment[]): Sizes {
  let numbers = 0;
  let textsBytes = 0;
  let copiedBytes = 0;
  let tensorsBytesMax = 0;
  for (const { text, tensor } of segments) {
    textsBytes += Buffer.byteLength(text);
    if (!tensor) continue;
    const count = countOf(tensor);
    numbers += count;
    tensorsBytesMax += count * PRINTED_BYTES_MAX + bracketsBytesMax(tensor);
    if (!memory.holds(tensor.data)) copiedBytes += tensor.data.byteLength;
  }
  return { numbers, textsBytes, copiedBytes, tensorsBytesMax };
}

function countOf({ shape }: TensorView): number {
  let count = 1;
  for (const size of shape) count *= size;
  return count;
}

function bracketsBytesMax({ shape }: TensorView): number {
  let arrays = 1;
  let bytes = AXIS_BYTES_MAX;
  for (let axis = 0; axis + 1 < shape.length; axis++) {
    arrays *= shape[axis]!;
    bytes += arrays * AXIS_BYTES_MAX;
  }
  return bytes;
}
