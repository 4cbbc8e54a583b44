// JSON in and out of linear memory. What costs more than handing it over is read and printed by a
// worker, like any other work; the calling thread then only moves bytes.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Answer, toJsonSegments } from '../codec/response-body.ts';
import type { JsonSegment } from '../codec/json/segments.ts';
import { stripByteOrderMark } from '../codec/json/encoding.ts';
import { TENSOR_NAMES } from '../codec/json/placeholders.ts';
import type { Lifetime } from '../lifetime.ts';
import { medianMs } from '../scheduler/calibrate.ts';
import type { Scheduler } from '../scheduler/scheduler.ts';
import { ByteBlock } from '../wasm/byte-block.ts';
import { HostJob } from '../wasm/host-job.ts';
import type { Kernels } from '../wasm/load.ts';
import type { LinearMemory } from '../wasm/memory.ts';
import { PrintJob } from '../wasm/print-job.ts';
import { ReadJob, TensorNames } from '../wasm/read-job.ts';
import { type JsonBody, bodyOf, plainBody } from './json-body.ts';

/** Up to here JSON.parse is done before a record is set up: 3.0 µs beside 4.0 µs for 233 bytes. */
const PLAIN_BYTES_MAX = 512;
/** Up to here the kernels take about 5 µs: no hand-over to another thread is shorter. */
const HERE_BYTES_MAX = 12 * 1024;
/**
 * What a body may have outside its tensors: names, and a number for each row in `lengths`, which has up to
 * eight digits, a comma and, in a text for people, a line with its indentation.
 */
const OUTSIDE_BYTES_MIN = 64 * 1024;
const LENGTH_BYTES = 16;
/** To look byte by byte for what is wrong, 13 to 27 ns each, beside reading numbers by the kernel, 0.4 ns. */
const CHECK_COST = 40;
const HERE_NUMBERS_MIN = 1_024;
const CALIBRATION_ROUNDS = 15;
const CALIBRATION_NUMBERS = 2_048;
/** So much is copied at once, below a millisecond; then others have their turn. */
const COPIED_BYTES_MAX = 1024 * 1024;

/** A text in linear memory. */
export interface PrintedText {
  /** In place: to be used before release(). */
  text(): Buffer;
  release(): void;
}

export interface JsonCodecParts {
  readonly memory: LinearMemory;
  readonly scheduler: Pick<Scheduler, 'run'>;
  readonly kernels: Kernels;
  /** Numbers of the longest `lengths`. */
  readonly lengthsMax?: number;
  /** Bodies up to this are read in the plain way; the results are the same. */
  readonly plainBytesMax?: number;
  /** Bodies up to this are read on the calling thread; the results are the same. */
  readonly hereBytesMax?: number;
}

export class JsonCodec {
  readonly #parts: JsonCodecParts;
  readonly #names: TensorNames;
  readonly #outsideMax: number;
  /** What a byte read, and a number printed, cost in the scheduler's unit; see calibrate(). */
  #flopsPerByte = 10;
  #flopsPerNumber = 150;

  constructor(parts: JsonCodecParts) {
    this.#parts = parts;
    this.#names = new TensorNames(parts.memory, TENSOR_NAMES);
    this.#outsideMax = Math.max(OUTSIDE_BYTES_MIN, LENGTH_BYTES * (parts.lengthsMax ?? 0));
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
   * A copy of bytes that are there as a whole, to be released.
   *
   * @throws memory_full
   */
  place(bytes: Buffer): ByteBlock | Promise<ByteBlock> {
    const block = this.open(bytes.length);
    if (bytes.length > COPIED_BYTES_MAX) return appendInTurns(block, bytes);
    block.append(bytes);
    return block;
  }

  /**
   * Reads a body and releases its text, whatever happens; a short one at once. Of a long one nothing but its
   * skeleton, which is bounded, is read on the calling thread.
   *
   * @throws malformed_json · duplicate_key · memory_full · queue_full · deadline_exceeded · client_closed ·
   *   worker_failed; for a long body also ragged_array, out_of_range and invalid_request, which are told of a
   *   short one by whoever looks at its value
   */
  read(text: ByteBlock, lifetime: Lifetime): JsonBody | Promise<JsonBody> {
    const { plainBytesMax = PLAIN_BYTES_MAX, hereBytesMax = HERE_BYTES_MAX } = this.#parts;
    if (text.bytes > hereBytesMax) return this.#readLong(text, lifetime);
    try {
      stripByteOrderMark(text.view());
      if (text.bytes <= plainBytesMax) return plainBody(text);
      const job = this.#readJob(text);
      this.#runInline(job);
      return bodyOf(job) ?? plainBody(text);
    } finally {
      text.release();
    }
  }

  async #readLong(text: ByteBlock, lifetime: Lifetime): Promise<JsonBody> {
    try {
      stripByteOrderMark(text.view());
      const job = this.#readJob(text);
      const flops = text.bytes * this.#flopsPerByte;
      await this.#run(job, flops, false, lifetime);
      const body = bodyOf(job);
      if (body) return body;
      const check = new HostJob(this.#parts.memory, 'checkBody', {
        ptr: text.ptr,
        bytes: text.bytes,
        args: [this.#outsideMax],
      });
      await this.#run(check, CHECK_COST * flops, true, lifetime);
      throw faultFoundBy(check);
    } finally {
      text.release();
    }
  }

  #readJob(text: ByteBlock): ReadJob {
    const { memory, kernels } = this.#parts;
    return new ReadJob(memory, this.#names, text, numbersMax(kernels, text), this.#outsideMax);
  }

  /**
   * An answer as JSON; its tensors may be released once this has settled.
   *
   * @throws memory_full · deadline_exceeded · worker_failed
   */
  print(answer: Answer, lifetime: Lifetime): PrintedText | Promise<PrintedText> {
    return this.printSegments(toJsonSegments(answer), lifetime);
  }

  /** @throws as print */
  printSegments(
    pieces: readonly JsonSegment[],
    lifetime: Lifetime,
  ): PrintedText | Promise<PrintedText> {
    const job = new PrintJob(this.#parts.memory, pieces);
    if (job.numbers > HERE_NUMBERS_MIN) return this.#printLong(job, lifetime);
    this.#runInline(job);
    return job;
  }

  async #printLong(job: PrintJob, lifetime: Lifetime): Promise<PrintedText> {
    await this.#run(job, job.numbers * this.#flopsPerNumber, true, lifetime);
    return job;
  }

  /**
   * Measures what JSON costs on this thread, in a few milliseconds.
   *
   * @param flopsPerMs the speed of a step, by which the scheduler compares
   */
  calibrate(flopsPerMs: number): void {
    const { memory, kernels } = this.#parts;
    const data = Float32Array.from({ length: CALIBRATION_NUMBERS }, (_, i) => Math.sin(i + 1));
    const tensor = { shape: [data.length], strides: [1], data };
    const printing = new PrintJob(memory, [{ text: '{"x":', tensor }, { text: '}' }]);
    const printMs = medianMs(() => kernels.run(printing.ptr), CALIBRATION_ROUNDS);
    const text = this.open(printing.text().length);
    text.append(printing.text());
    const reading = this.#readJob(text);
    const readMs = medianMs(() => kernels.run(reading.ptr), CALIBRATION_ROUNDS);
    this.#flopsPerNumber = (printMs * flopsPerMs) / data.length;
    this.#flopsPerByte = (readMs * flopsPerMs) / text.bytes;
    for (const block of [printing, text, reading]) block.release();
  }

  /** A job that fails is released. */
  #runInline(job: TextJob): void {
    try {
      this.#parts.kernels.run(job.ptr);
    } catch (error) {
      job.release();
      throw error;
    }
  }

  /** A job that fails is released. */
  async #run(
    job: TextJob,
    flops: number,
    isLast: boolean,
    lifetime: Lifetime,
  ): Promise<void> {
    try {
      const cost = { kind: kindOf(job), flops };
      const work = { flops, cost, partsMax: 1, isLast, split: () => [job.ptr] };
      await this.#parts.scheduler.run(work, lifetime);
    } catch (error) {
      job.release();
      throw error;
    }
  }
}

type TextJob = ReadJob | PrintJob | HostJob;

/** Each has a speed of its own. */
function kindOf(job: TextJob): string {
  return job instanceof ReadJob ? 'read' : job instanceof PrintJob ? 'print' : 'check';
}

/** Releases the job. */
function faultFoundBy(check: HostJob): unknown {
  try {
    check.result();
  } catch (fault) {
    return fault;
  } finally {
    check.release();
  }
  return new Error('The kernel has declined a body in which nothing is wrong.');
}

/** A text has at most one number more than it has commas. */
function numbersMax(kernels: Kernels, text: ByteBlock): number {
  return kernels.countCommas(text.ptr, text.bytes) + 1;
}

async function appendInTurns(block: ByteBlock, bytes: Buffer): Promise<ByteBlock> {
  for (let at = 0; at < bytes.length; at += COPIED_BYTES_MAX) {
    if (at > 0) await nextTurn();
    block.append(bytes.subarray(at, at + COPIED_BYTES_MAX));
  }
  return block;
}

/** TensorCopier a text and gives its memory back. */
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
