// The record of a call of a function of the host (host-functions.ts). It is a job like those of the kernels,
// so the scheduler has it run by a worker, or on the main thread.
//
//   job block    | record | the result, or an error as JSON |
import type { ErrorCode } from '../error-kinds.ts';
import { CarryoverError, type ErrorPlace } from '../errors.ts';
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
/** Enough for an error: whoever makes one shortens what it quotes, and its pointer has some hundred characters. */
const RESULT_BYTES_MIN = 16 * 1024;
/** What is left of the detail of an error that is longer than that, in characters. */
const SHORTENED_CHARACTERS = 1_000;

export interface HostInput {
  /** Address of the input, and its length in bytes. */
  readonly ptr: number;
  readonly bytes: number;
  /** At most HOST_ARGUMENTS_MAX words. */
  readonly args?: readonly number[];
  /** The most that the function returns, in bytes. */
  readonly resultBytesMax?: number;
}

/** An error as it crosses the threads, in JSON. */
interface SerializedError {
  readonly code: ErrorCode;
  readonly detail: string;
  readonly errors?: readonly ErrorPlace[];
  /** For the log, if the error is a fault of the server. */
  readonly cause?: string;
}

/** Owns the job block. The input must stay until the kernels have run the job. */
export class HostJob implements Disposable {
  /** Address of the record, for Kernels.run. */
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
   * What the function has returned, in place. Valid until release().
   *
   * @throws what the function has thrown
   */
  result(): Buffer {
    const end = this.#word(HOST_RESULT_END);
    const result = this.#memory.bytes.subarray(this.#word(HOST_RESULT), end);
    if (this.#word(HOST_FAILED) === 0) return result;
    const { code, ...details } = JSON.parse(result.toString()) as SerializedError;
    throw new CarryoverError(code, details);
  }

  /** Must be called once; so must the disposal, which is the same. */
  release(): void {
    this.#memory.free(this.ptr);
  }

  [Symbol.dispose](): void {
    this.release();
  }

  #word(field: number): number {
    return this.#memory.words[(this.ptr + field) >>> 2]!;
  }
}

/**
 * Runs the job at `ptr`, on the calling thread. Throws nothing: an error is its result.
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
  const target = bytesAt(HOST_RESULT, HOST_RESULT_MAX);
  let result: Uint8Array;
  try {
    const args = record.subarray(HOST_ARGUMENTS / U32, HOST_ARGUMENTS / U32 + HOST_ARGUMENTS_MAX);
    const input = bytesAt(HOST_INPUT, HOST_INPUT_END);
    const returned = functions[record[HOST_FUNCTION / U32]!]!({ input, args, memory });
    result = Buffer.from(returned ?? '');
    if (result.length > target.length) {
      throw new Error(`${result.length} bytes were returned, expected at most ${target.length}`);
    }
  } catch (error) {
    record[HOST_FAILED / U32] = 1;
    result = serializeError(error, target.length);
  }
  target.set(result);
  record[HOST_RESULT_END / U32] = record[HOST_RESULT / U32]! + result.length;
}

function serializeError(error: unknown, bytesMax: number): Uint8Array {
  const serialized: SerializedError =
    error instanceof CarryoverError
      ? { code: error.code, detail: error.message, errors: error.errors }
      : {
          code: 'worker_failed',
          detail: 'The worker thread met an error while it computed this request.',
          cause: String(error).slice(0, SHORTENED_CHARACTERS),
        };
  const whole = Buffer.from(JSON.stringify(serialized));
  if (whole.length <= bytesMax) return whole;
  const { code, detail } = serialized;
  return Buffer.from(JSON.stringify({ code, detail: detail.slice(0, SHORTENED_CHARACTERS) }));
}
