// A call of a function of the host (host-functions.ts), as a job like those of the kernels: it is run by
// whichever thread runs the record.
//
//   job block    | record | room for the result, or for an error |
import { CarryoverError, type ErrorCode, type ErrorPlace } from '../errors.ts';
import {
  HOST_ARGUMENTS,
  HOST_ARGUMENTS_MAX,
  HOST_BYTES,
  HOST_FAILED,
  HOST_FUNCTION,
  HOST_INPUT,
  HOST_INPUT_END,
  HOST_RESULT,
  HOST_RESULT_END,
  HOST_RESULT_MAX,
  KIND_HOST,
  RECORD_KIND,
} from '../kernels/layout.ts';
import { HOST_FUNCTIONS, type HostFunction, type HostFunctionName } from './host-functions.ts';
import type { LinearMemory } from './memory.ts';

const U32 = Uint32Array.BYTES_PER_ELEMENT;
/** Room for an error: its texts are cut by whoever makes them, its pointer is some hundred characters. */
const RESULT_BYTES_MIN = 16 * 1024;
/** Of an error that is longer than that. */
const CUT_CHARACTERS = 1_000;

export interface HostInput {
  /** Where the input is, and how long. */
  readonly ptr: number;
  readonly bytes: number;
  /** At most HOST_ARGUMENTS_MAX words. */
  readonly args?: readonly number[];
  /** Room for what the function returns. */
  readonly resultBytesMax?: number;
}

/** How an error crosses the threads: as JSON. */
interface ErrorText {
  readonly code: ErrorCode;
  readonly detail: string;
  readonly errors?: readonly ErrorPlace[];
  /** Of an error that is not the client's, for the log. */
  readonly cause?: string;
}

/** To be run by the kernels; the input must stay until then. */
export class HostJob {
  readonly ptr: number;
  readonly #memory: LinearMemory;

  /** @throws memory_full */
  constructor(
    memory: LinearMemory,
    name: HostFunctionName,
    { ptr: input, bytes, args = [], resultBytesMax = 0 }: HostInput,
  ) {
    if (args.length > HOST_ARGUMENTS_MAX) throw new Error(`${name}: ${args.length} arguments`);
    const blockBytes = HOST_BYTES + Math.max(resultBytesMax, RESULT_BYTES_MIN);
    const ptr = memory.allocate(blockBytes);
    this.#memory = memory;
    this.ptr = ptr;
    const { words } = memory;
    const record = ptr >>> 2;
    words[record + HOST_FUNCTION / U32] = Object.keys(HOST_FUNCTIONS).indexOf(name);
    words[record + HOST_INPUT / U32] = input;
    words[record + HOST_INPUT_END / U32] = input + bytes;
    words[record + HOST_RESULT / U32] = ptr + HOST_BYTES;
    words[record + HOST_RESULT_MAX / U32] = ptr + blockBytes;
    words[record + HOST_RESULT_END / U32] = ptr + HOST_BYTES;
    words[record + HOST_FAILED / U32] = 0;
    words.fill(0, record + HOST_ARGUMENTS / U32, record + HOST_ARGUMENTS / U32 + HOST_ARGUMENTS_MAX);
    words.set(args, record + HOST_ARGUMENTS / U32);
    words[record + RECORD_KIND / U32] = KIND_HOST;
  }

  /**
   * What the function has returned, in place: to be used before release().
   *
   * @throws what the function has thrown
   */
  result(): Buffer {
    const end = this.#word(HOST_RESULT_END);
    const result = this.#memory.bytes.subarray(this.#word(HOST_RESULT), end);
    if (this.#word(HOST_FAILED) === 0) return result;
    const { code, ...details } = JSON.parse(result.toString()) as ErrorText;
    throw new CarryoverError(code, details);
  }

  release(): void {
    this.#memory.free(this.ptr);
  }

  #word(field: number): number {
    return this.#memory.words[(this.ptr + field) >>> 2]!;
  }
}

/**
 * Runs the job at `ptr`, on the thread that calls. Throws nothing: an error is a result.
 *
 * @param functions in the order of their numbers
 */
export function runHostJob(
  { buffer }: WebAssembly.Memory,
  ptr: number,
  functions: readonly HostFunction[] = Object.values(HOST_FUNCTIONS),
): void {
  const memory = buffer as ArrayBufferLike as SharedArrayBuffer;
  const record = new Uint32Array(memory, ptr, HOST_BYTES / U32);
  const bytesAt = (start: number, end: number) =>
    Buffer.from(memory, record[start / U32], record[end / U32]! - record[start / U32]!);
  const room = bytesAt(HOST_RESULT, HOST_RESULT_MAX);
  let result: Uint8Array;
  try {
    const args = record.subarray(HOST_ARGUMENTS / U32, HOST_ARGUMENTS / U32 + HOST_ARGUMENTS_MAX);
    const input = bytesAt(HOST_INPUT, HOST_INPUT_END);
    const returned = functions[record[HOST_FUNCTION / U32]!]!({ input, args, memory });
    result = Buffer.from(returned ?? '');
    if (result.length > room.length) throw new Error(`${result.length} bytes have no room`);
  } catch (error) {
    record[HOST_FAILED / U32] = 1;
    result = errorText(error, room.length);
  }
  room.set(result);
  record[HOST_RESULT_END / U32] = record[HOST_RESULT / U32]! + result.length;
}

function errorText(error: unknown, bytesMax: number): Uint8Array {
  const text: ErrorText =
    error instanceof CarryoverError
      ? { code: error.code, detail: error.message, errors: error.errors }
      : {
          code: 'worker_failed',
          detail: 'The worker thread met an error while it computed this request.',
          cause: String(error).slice(0, CUT_CHARACTERS),
        };
  const whole = Buffer.from(JSON.stringify(text));
  if (whole.length <= bytesMax) return whole;
  const { code, detail } = text;
  return Buffer.from(JSON.stringify({ code, detail: detail.slice(0, CUT_CHARACTERS) }));
}
