// The printing of tensors as JSON (kernels/print.ts): pieces, each some text and then a tensor.
//
//   job block    | record | pieces | texts | tensors that are not in linear memory | room for the text |
import {
  KIND_PRINT,
  PIECE_AXES,
  PIECE_AXIS_BYTES,
  PIECE_BYTES,
  PIECE_BYTES_AT,
  PIECE_BYTES_END,
  PIECE_NUMBERS,
  PIECE_RANK,
  PRINTED_BYTES_MAX,
  PRINT_BYTES,
  PRINT_PIECES,
  PRINT_PIECES_END,
  PRINT_TEXT,
  PRINT_TEXT_END,
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
export interface PrintPiece {
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
  constructor(memory: LinearMemory, pieces: readonly PrintPiece[]) {
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
    const textsAt = PRINT_BYTES + pieces.length * PIECE_BYTES;
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
      words[piece + PIECE_BYTES_AT / U32] = textPtr;
      textPtr += bytes.write(text, textPtr);
      words[piece + PIECE_BYTES_END / U32] = textPtr;
      words[piece + PIECE_RANK / U32] = tensor?.shape.length ?? 0;
      if (tensor) {
        this.#writeAxes(piece, tensor);
        if (memory.holds(tensor.data)) words[piece + PIECE_NUMBERS / U32] = tensor.data.byteOffset;
        else {
          memory.f32(stagedPtr, tensor.data.length).set(tensor.data);
          words[piece + PIECE_NUMBERS / U32] = stagedPtr;
          stagedPtr += tensor.data.byteLength;
        }
      }
      piece += PIECE_BYTES / U32;
    }
    const record = ptr >>> 2;
    words[record + PRINT_PIECES / U32] = ptr + PRINT_BYTES;
    words[record + PRINT_PIECES_END / U32] = ptr + textsAt;
    words[record + PRINT_TEXT / U32] = this.#textPtr;
    words[record + RECORD_KIND / U32] = KIND_PRINT;
  }

  /** The text, in place: to be used before release(). */
  text(): Buffer {
    const { words, bytes } = this.#memory;
    return bytes.subarray(this.#textPtr, words[(this.ptr + PRINT_TEXT_END) >>> 2]);
  }

  release(): void {
    this.#memory.free(this.ptr);
  }

  #writeAxes(piece: number, { shape, strides }: TensorView): void {
    if (shape.length > RANK_MAX) throw new Error(`a tensor of ${shape.length} axes`);
    const { words } = this.#memory;
    let axisAt = piece + PIECE_AXES / U32;
    for (let axis = 0; axis < shape.length; axis++, axisAt += PIECE_AXIS_BYTES / U32) {
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
