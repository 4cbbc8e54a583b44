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
    const texts = pieces.map(({ text }) => Buffer.from(text));
    const textsBytes = texts.reduce((sum, text) => sum + text.length, 0);
    const staged = pieces.map(({ tensor }) =>
      tensor && !memory.holds(tensor.data) ? tensor : undefined,
    );
    const stagedFloats = staged.reduce((sum, tensor) => sum + (tensor?.data.length ?? 0), 0);
    const numbers = pieces.reduce((sum, { tensor }) => sum + sizeOf(tensor), 0);
    const printedBytes = pieces.reduce((sum, { tensor }) => sum + printedBytesMax(tensor), textsBytes);

    const textsAt = PRINT_BYTES + pieces.length * PIECE_BYTES;
    const stagedAt = Math.ceil((textsAt + textsBytes) / F32) * F32;
    const printedAt = stagedAt + stagedFloats * F32;
    const ptr = memory.allocate(printedAt + printedBytes + TEXT_PADDING);
    this.#memory = memory;
    this.ptr = ptr;
    this.#textPtr = ptr + printedAt;
    this.numbers = numbers;

    let textPtr = ptr + textsAt;
    let stagedPtr = ptr + stagedAt;
    pieces.forEach(({ tensor }, i) => {
      const piece = memory.u32(ptr + PRINT_BYTES + i * PIECE_BYTES, PIECE_BYTES / U32);
      const text = texts[i]!;
      memory.u8(textPtr, text.length).set(text);
      piece[PIECE_BYTES_AT / U32] = textPtr;
      textPtr += text.length;
      piece[PIECE_BYTES_END / U32] = textPtr;
      piece[PIECE_RANK / U32] = tensor?.shape.length ?? 0;
      if (!tensor) return;
      if (tensor.shape.length > RANK_MAX) throw new Error(`a tensor of ${tensor.shape.length} axes`);
      tensor.shape.forEach((size, axis) => {
        piece[(PIECE_AXES + axis * PIECE_AXIS_BYTES) / U32] = size;
        piece[(PIECE_AXES + axis * PIECE_AXIS_BYTES) / U32 + 1] = tensor.strides[axis]! * F32;
      });
      if (staged[i]) {
        memory.f32(stagedPtr, tensor.data.length).set(tensor.data);
        piece[PIECE_NUMBERS / U32] = stagedPtr;
        stagedPtr += tensor.data.byteLength;
      } else {
        piece[PIECE_NUMBERS / U32] = tensor.data.byteOffset;
      }
    });
    const record = memory.u32(ptr, PRINT_BYTES / U32);
    record[PRINT_PIECES / U32] = ptr + PRINT_BYTES;
    record[PRINT_PIECES_END / U32] = ptr + PRINT_BYTES + pieces.length * PIECE_BYTES;
    record[PRINT_TEXT / U32] = this.#textPtr;
    record[RECORD_KIND / U32] = KIND_PRINT;
  }

  /** The text, in the job's memory. */
  text(): Uint8Array {
    const end = this.#memory.u32(this.ptr, PRINT_BYTES / U32)[PRINT_TEXT_END / U32]!;
    return this.#memory.u8(this.#textPtr, end - this.#textPtr);
  }

  release(): void {
    this.#memory.free(this.ptr);
  }
}

function sizeOf(tensor: TensorView | undefined): number {
  return tensor ? tensor.shape.reduce((product, size) => product * size, 1) : 0;
}

function printedBytesMax(tensor: TensorView | undefined): number {
  if (!tensor) return 0;
  let arrays = 1;
  let bytes = AXIS_BYTES_MAX;
  for (const size of tensor.shape.slice(0, -1)) {
    arrays *= size;
    bytes += arrays * AXIS_BYTES_MAX;
  }
  return bytes + sizeOf(tensor) * PRINTED_BYTES_MAX;
}
