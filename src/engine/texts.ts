// JSON in and out of linear memory. What costs more than handing it over is read and printed by a
// worker, like any other work; the calling thread then only moves bytes.
import { isUtf8 } from 'node:buffer';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Answer, piecesOf } from '../codec/answer.ts';
import type { Piece } from '../codec/pieces.ts';
import { readJson } from '../codec/json-read.ts';
import { type MovedTensor, TENSOR_NAMES, placeTensors } from '../codec/moved.ts';
import type { Lifetime } from '../lifetime.ts';
import type { Scheduler } from '../scheduler/scheduler.ts';
import { ByteBlock } from '../wasm/byte-block.ts';
import type { Kernels } from '../wasm/load.ts';
import type { LinearMemory } from '../wasm/memory.ts';
import { PrintJob } from '../wasm/print-job.ts';
import { ReadJob, type ReadTensor, TensorNames } from '../wasm/read-job.ts';

/** Up to here JSON.parse is done before a record is set up: 3.0 µs beside 4.0 µs for 233 bytes. */
const PLAIN_BYTES_MAX = 512;
/** These take the kernels about 5 µs: no hand-over to another thread is shorter. */
const HERE_BYTES_MIN = 12 * 1024;
const HERE_NUMBERS_MIN = 1_024;
const CALIBRATION_ROUNDS = 15;
const CALIBRATION_NUMBERS = 2_048;
/** So much is copied at once; then others have their turn. */
const COPIED_BYTES_MAX = 1024 * 1024;

export interface JsonBody {
  /** What JSON.parse would give, with arrays that stand for tensors (codec/moved.ts). */
  readonly value: unknown;
  /** Gives the tensors' memory back: they cannot be copied afterwards. May be called twice. */
  release(): void;
}

/** A text in linear memory. */
export interface PrintedText {
  /** In place: to be used before release(). */
  text(): Buffer;
  release(): void;
}

export interface TextsParts {
  readonly memory: LinearMemory;
  readonly scheduler: Pick<Scheduler, 'run'>;
  readonly kernels: Kernels;
  /** Bodies up to this are read in the plain way; the results are the same. */
  readonly plainBytesMax?: number;
}

export class Texts {
  readonly #parts: TextsParts;
  readonly #names: TensorNames;
  /** What a byte read, and a number printed, cost in the scheduler's unit; see calibrate(). */
  #flopsPerByte = 10;
  #flopsPerNumber = 150;

  constructor(parts: TextsParts) {
    this.#parts = parts;
    this.#names = new TensorNames(parts.memory, TENSOR_NAMES);
  }

  /**
   * Room for a text that comes in, to be handed to read(), or for other bytes; to be released.
   *
   * @throws memory_full
   */
  open(bytesMax: number): ByteBlock {
    return new ByteBlock(this.#parts.memory, bytesMax);
  }

  /**
   * Reads a body and releases its text, whatever happens; a short one at once.
   *
   * @throws malformed_json · duplicate_key · memory_full · queue_full · deadline_exceeded ·
   *   worker_failed
   */
  read(text: ByteBlock, lifetime: Lifetime): JsonBody | Promise<JsonBody> {
    const { memory, kernels, plainBytesMax = PLAIN_BYTES_MAX } = this.#parts;
    if (text.bytes > HERE_BYTES_MIN) return this.#readLong(text, lifetime);
    try {
      if (text.bytes <= plainBytesMax) return plainBody(text);
      const job = new ReadJob(memory, this.#names, text, numbersMax(kernels, text));
      this.#runHere(job);
      return bodyOf(job) ?? plainBody(text);
    } finally {
      text.release();
    }
  }

  async #readLong(text: ByteBlock, lifetime: Lifetime): Promise<JsonBody> {
    const { memory, kernels } = this.#parts;
    try {
      const job = new ReadJob(memory, this.#names, text, numbersMax(kernels, text));
      await this.#run(job, text.bytes * this.#flopsPerByte, false, lifetime);
      return bodyOf(job) ?? plainBody(text);
    } finally {
      text.release();
    }
  }

  /**
   * An answer as JSON; its tensors may be released once this has settled.
   *
   * @throws memory_full · deadline_exceeded · worker_failed
   */
  print(answer: Answer, lifetime: Lifetime): PrintedText | Promise<PrintedText> {
    return this.printPieces(piecesOf(answer), lifetime);
  }

  /** @throws as print */
  printPieces(
    pieces: readonly Piece[],
    lifetime: Lifetime,
  ): PrintedText | Promise<PrintedText> {
    const job = new PrintJob(this.#parts.memory, pieces);
    if (job.numbers > HERE_NUMBERS_MIN) return this.#printLong(job, lifetime);
    this.#runHere(job);
    return job;
  }

  async #printLong(job: PrintJob, lifetime: Lifetime): Promise<PrintedText> {
    await this.#run(job, job.numbers * this.#flopsPerNumber, true, lifetime);
    return job;
  }

  /**
   * Measures what texts cost on this thread, in a few milliseconds.
   *
   * @param flopsPerMs the speed of a step, by which the scheduler compares
   */
  calibrate(flopsPerMs: number): void {
    const { memory, kernels } = this.#parts;
    const data = Float32Array.from({ length: CALIBRATION_NUMBERS }, (_, i) => Math.sin(i + 1));
    const tensor = { shape: [data.length], strides: [1], data };
    const printing = new PrintJob(memory, [{ text: '{"x":', tensor }, { text: '}' }]);
    const printMs = medianMs(() => kernels.run(printing.ptr));
    const text = this.open(printing.text().length);
    text.append(printing.text());
    const reading = new ReadJob(memory, this.#names, text, data.length);
    const readMs = medianMs(() => kernels.run(reading.ptr));
    this.#flopsPerNumber = (printMs * flopsPerMs) / data.length;
    this.#flopsPerByte = (readMs * flopsPerMs) / text.bytes;
    for (const block of [printing, text, reading]) block.release();
  }

  /** A job that fails is released. */
  #runHere(job: ReadJob | PrintJob): void {
    try {
      this.#parts.kernels.run(job.ptr);
    } catch (error) {
      job.release();
      throw error;
    }
  }

  /** Likewise. */
  async #run(
    job: ReadJob | PrintJob,
    flops: number,
    isLast: boolean,
    lifetime: Lifetime,
  ): Promise<void> {
    try {
      const work = { flops, partsMax: 1, isLast, split: () => [job.ptr] };
      await this.#parts.scheduler.run(work, lifetime);
    } catch (error) {
      job.release();
      throw error;
    }
  }
}

/** A text has at most one number more than it has commas. */
function numbersMax(kernels: Kernels, text: ByteBlock): number {
  return kernels.countCommas(text.ptr, text.bytes) + 1;
}

function plainBody(text: ByteBlock): JsonBody {
  return { value: readJson(text.view()), release: () => {} };
}

/**
 * Undefined if the text has to be read in the plain way, which also finds what may be wrong: a key that
 * appears twice is in the text once more than in the value. Then the job is released.
 */
function bodyOf(job: ReadJob): JsonBody | undefined {
  const skeleton = job.skeleton();
  const tensors = skeleton && job.tensors();
  if (tensors && isUtf8(skeleton)) {
    const body = new MovedBody(job);
    try {
      body.value = JSON.parse(skeleton.toString());
      const placed = tensors.map((tensor) => new HeldTensor(body, job, tensor));
      if (placeTensors(body.value, placed) === job.keys) return body;
    } catch {
      // Not JSON.
    }
  }
  job.release();
  return undefined;
}

/** A body whose tensors are in the memory of the job that has read it. */
class MovedBody implements JsonBody {
  value: unknown;
  isReleased = false;
  readonly #job: ReadJob;

  constructor(job: ReadJob) {
    this.#job = job;
  }

  release(): void {
    if (!this.isReleased) this.#job.release();
    this.isReleased = true;
  }
}

class HeldTensor implements MovedTensor {
  readonly shape: readonly number[];
  readonly #body: MovedBody;
  readonly #job: ReadJob;
  readonly #tensor: ReadTensor;

  constructor(body: MovedBody, job: ReadJob, tensor: ReadTensor) {
    this.shape = tensor.shape;
    this.#body = body;
    this.#job = job;
    this.#tensor = tensor;
  }

  numbers(): Float32Array | undefined {
    return this.#body.isReleased ? undefined : this.#job.numbers(this.#tensor);
  }
}

function medianMs(run: () => void): number {
  const times = Array.from({ length: CALIBRATION_ROUNDS }, () => {
    const start = performance.now();
    run();
    return performance.now() - start;
  });
  return times.toSorted((a, b) => a - b)[CALIBRATION_ROUNDS >> 1]!;
}

/** Copies a text and gives its memory back. */
export async function takeText(printed: PrintedText): Promise<Buffer> {
  try {
    const text = printed.text();
    const copy = Buffer.allocUnsafe(text.length);
    for (let at = 0; at < text.length; at += COPIED_BYTES_MAX) {
      if (at > 0) await nextTurn();
      copy.set(text.subarray(at, at + COPIED_BYTES_MAX), at);
    }
    return copy;
  } finally {
    printed.release();
  }
}
