// The printing of tensors as JSON (kernels/print.ts): pieces, each some text and then a tensor.
//
//   job block    | record | pieces | texts | tensors that are not in linear memory | room for the text |
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
  TEXT_PADDING,
} from '../kernels/layout.ts';
import type { TensorView } from '../tensor.ts';
import type { LinearMemory } from './memory.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;
const U32 = Uint32Array.BYTES_PER_ELEMENT;
/** Brackets around the elements of an axis, and the comma behind them. */
const AXIS_BYTES_MAX = 3;

/** Some text, then a tensor of finite numbers, of at most RANK_MAX axes. */
export interface PrintSegment {
  readonly text: string;
  readonly tensor?: TensorView | undefined;
}

/** To be run by the kernels. */
export class PrintJob {
  readonly ptr: number;
  /** How many it prints. */
  readonly numbers: number;
  readonly #memory: LinearMemory;
  readonly #textPtr: number;

  /** @throws memory_full */
  constructor(memory: LinearMemory, pieces: readonly PrintSegment[]) {
    let textsBytes = 0;
    let stagedBytes = 0;
    let tensorsBytes = 0;
    let numbers = 0;
    for (const { text, tensor } of pieces) {
      textsBytes += Buffer.byteLength(text);
      if (!tensor) continue;
      numbers += sizeOf(tensor);
      tensorsBytes += printedBytesMax(tensor);
      if (!memory.holds(tensor.data)) stagedBytes += tensor.data.byteLength;
    }
    const textsAt = PRINT_BYTES + pieces.length * SEGMENT_BYTES;
    const stagedAt = Math.ceil((textsAt + textsBytes) / F32) * F32;
    const printedAt = stagedAt + stagedBytes;
    const ptr = memory.allocate(printedAt + textsBytes + tensorsBytes + TEXT_PADDING);
    this.#memory = memory;
    this.ptr = ptr;
    this.#textPtr = ptr + printedAt;
    this.numbers = numbers;

    const { words, bytes } = memory;
    let textPtr = ptr + textsAt;
    let stagedPtr = ptr + stagedAt;
    let piece = (ptr + PRINT_BYTES) >>> 2;
    for (const { text, tensor } of pieces) {
      words[piece + SEGMENT_TEXT / U32] = textPtr;
      textPtr += bytes.write(text, textPtr);
      words[piece + SEGMENT_TEXT_END / U32] = textPtr;
      words[piece + SEGMENT_RANK / U32] = tensor?.shape.length ?? 0;
      if (tensor) {
        this.#writeAxes(piece, tensor);
        if (memory.holds(tensor.data)) words[piece + SEGMENT_NUMBERS / U32] = tensor.data.byteOffset;
        else {
          memory.f32(stagedPtr, tensor.data.length).set(tensor.data);
          words[piece + SEGMENT_NUMBERS / U32] = stagedPtr;
          stagedPtr += tensor.data.byteLength;
        }
      }
      piece += SEGMENT_BYTES / U32;
    }
    const record = ptr >>> 2;
    words[record + PRINT_SEGMENTS / U32] = ptr + PRINT_BYTES;
    words[record + PRINT_SEGMENTS_END / U32] = ptr + textsAt;
    words[record + PRINT_OUTPUT / U32] = this.#textPtr;
    words[record + RECORD_KIND / U32] = KIND_PRINT;
  }

  /** The text, in place: to be used before release(). */
  text(): Buffer {
    const { words, bytes } = this.#memory;
    return bytes.subarray(this.#textPtr, words[(this.ptr + PRINT_OUTPUT_END) >>> 2]);
  }

  release(): void {
    this.#memory.free(this.ptr);
  }

  #writeAxes(piece: number, { shape, strides }: TensorView): void {
    if (shape.length > RANK_MAX) throw new Error(`a tensor of ${shape.length} axes`);
    const { words } = this.#memory;
    let axisAt = piece + SEGMENT_AXES / U32;
    for (let axis = 0; axis < shape.length; axis++, axisAt += SEGMENT_AXIS_BYTES / U32) {
      words[axisAt] = shape[axis]!;
      words[axisAt + 1] = strides[axis]! * F32;
    }
  }
}

function sizeOf({ shape }: TensorView): number {
  let size = 1;
  for (const length of shape) size *= length;
  return size;
}

function printedBytesMax(tensor: TensorView): number {
  const { shape } = tensor;
  let arrays = 1;
  let bytes = AXIS_BYTES_MAX;
  for (let axis = 0; axis + 1 < shape.length; axis++) {
    arrays *= shape[axis]!;
    bytes += arrays * AXIS_BYTES_MAX;
  }
  return bytes + sizeOf(tensor) * PRINTED_BYTES_MAX;
}
