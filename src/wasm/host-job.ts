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
import { recordClass } from './record.ts';

/** Of a call; what the fields mean is said in kernels/layout.ts. */
const HostRecord = recordClass({
  function: HOST_FUNCTION,
  input: HOST_INPUT,
  inputEnd: HOST_INPUT_END,
  result: HOST_RESULT,
  resultMax: HOST_RESULT_MAX,
  resultEnd: HOST_RESULT_END,
  failed: HOST_FAILED,
  kind: RECORD_KIND,
});
type HostRecord = InstanceType<typeof HostRecord>;

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
    const record = new HostRecord(memory, ptr);
    record.function = Object.keys(HOST_FUNCTIONS).indexOf(name);
    record.input = input;
    record.inputEnd = input + bytes;
    record.result = ptr + HOST_BYTES;
    record.resultMax = ptr + blockBytes;
    record.resultEnd = ptr + HOST_BYTES;
    record.failed = 0;
    argumentsOf(record).fill(0).set(args);
    record.kind = KIND_HOST;
  }

  /**
   * What the function has returned, in place. Valid until release().
   *
   * @throws what the function has thrown
   */
  result(): Buffer {
    const { result: start, resultEnd, failed } = new HostRecord(this.#memory, this.ptr);
    const result = this.#memory.bytes.subarray(start, resultEnd);
    if (failed === 0) return result;
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
}

function argumentsOf({ words, word }: HostRecord): Uint32Array {
  const start = word + HOST_ARGUMENTS / U32;
  return words.subarray(start, start + HOST_ARGUMENTS_MAX);
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
  const record = new HostRecord({ words: new Uint32Array(memory) }, ptr);
  const target = Buffer.from(memory, record.result, record.resultMax - record.result);
  let result: Uint8Array;
  try {
    const input = Buffer.from(memory, record.input, record.inputEnd - record.input);
    const returned = functions[record.function]!({ input, args: argumentsOf(record), memory });
    result = Buffer.from(returned ?? '');
    if (result.length > target.length) {
      throw new Error(`${result.length} bytes were returned, expected at most ${target.length}`);
    }
  } catch (error) {
    record.failed = 1;
    result = serializeError(error, target.length);
  }
  target.set(result);
  record.resultEnd = record.result + result.length;
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
