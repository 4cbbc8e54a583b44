// JSON in linear memory: bodies are parsed from where they were received, responses are printed to where they
// are sent from.
//
// Where a document is parsed, by its length:
//   … 512 bytes   JSON.parse makes values of all of it: 3.0 µs for 233 bytes, beside 4.0 µs with the kernel
//   … 12 KiB      the kernel reads the tensors, on the calling thread: about 5 µs, less than any dispatch
//   above         the kernel reads the tensors, as a job of the scheduler
//
// The kernel declines a document that is wrong, or that has something no valid request has. Up to 12 KiB, JSON.parse
// then makes values of all of it, and the code that reads a value refuses it. The values of a longer document would
// need ten times its memory: there a job finds out what is wrong, without making values (codec/json/check.ts).
//
// Where JSON is printed, by the numbers of its tensors:
//   … 1,024       on the calling thread: 4.4 µs for 1,024
//   above         as a job of the scheduler
import { setImmediate as nextIteration } from 'node:timers/promises';
import { stripByteOrderMark } from '../codec/json/encoding.ts';
import { LIST_NAMES, TENSOR_NAMES } from '../codec/json/placeholders.ts';
import type { JsonSegment } from '../codec/json/segments.ts';
import type { Lifetime } from '../lifetime.ts';
import { medianMs } from '../scheduler/calibrate.ts';
import type { Scheduler } from '../scheduler/scheduler.ts';
import { ByteBlock } from '../wasm/byte-block.ts';
import { HostJob } from '../wasm/host-job.ts';
import type { Kernels } from '../wasm/load.ts';
import type { LinearMemory } from '../wasm/memory.ts';
import { PrintJob } from '../wasm/print-job.ts';
import { ReadJob, TensorNames } from '../wasm/read-job.ts';
import { type ParsedJson, type Reviver, parseSkeleton, parseWhole } from './parsed-json.ts';

const WHOLE_BYTES_MAX = 512;
const INLINE_BYTES_MAX = 12 * 1024;
const INLINE_NUMBERS_MAX = 1_024;

/**
 * What a document may have outside its tensors, without white space: names and short fields, and `lengths`,
 * whose numbers have up to eight digits and a comma.
 */
const OUTSIDE_BYTES_MIN = 64 * 1024;
const LENGTH_BYTES = 16;

/** Checking a byte takes 13 to 27 ns, reading one by the kernel 0.4 ns. */
const CHECK_COST = 40;

/** Copied at once, in less than a millisecond; then the event loop goes on. */
const SLICE_BYTES = 1024 * 1024;

const CALIBRATION_ROUNDS = 15;
const CALIBRATION_NUMBERS = 2_048;

/** JSON in linear memory, owned by whoever has it. */
export interface PrintedJson extends Disposable {
  /** In place. Valid until release(). */
  view(): Buffer;
  /** Must be called once; so must the disposal, which is the same. */
  release(): void;
}

export interface JsonCodecParts {
  readonly memory: LinearMemory;
  readonly scheduler: Pick<Scheduler, 'run'>;
  readonly kernels: Kernels;
  /** How many numbers `lengths` may have: the largest N. */
  readonly lengthsMax?: number;
  /** Up to how many bytes JSON.parse makes values of a whole document. The results are the same. */
  readonly wholeBytesMax?: number;
  /** Up to how many bytes a document is parsed on the calling thread. The results are the same. */
  readonly inlineBytesMax?: number;
}

export class JsonCodec {
  readonly #parts: JsonCodecParts;
  readonly #names: TensorNames;
  readonly #outsideBytesMax: number;
  readonly #wholeBytesMax: number;
  readonly #inlineBytesMax: number;
  /** The cost of a byte read and of a number printed, in the scheduler's unit; measured by calibrate(). */
  #flopsPerByte = 10;
  #flopsPerNumber = 150;

  /** @throws memory_full */
  constructor(parts: JsonCodecParts) {
    const { lengthsMax = 0, wholeBytesMax, inlineBytesMax } = parts;
    this.#parts = parts;
    this.#names = new TensorNames(parts.memory, TENSOR_NAMES, LIST_NAMES);
    this.#outsideBytesMax = Math.max(OUTSIDE_BYTES_MIN, LENGTH_BYTES * lengthsMax);
    this.#wholeBytesMax = wholeBytesMax ?? WHOLE_BYTES_MAX;
    this.#inlineBytesMax = inlineBytesMax ?? INLINE_BYTES_MAX;
  }

  /**
   * A block for a document that is to be received and parsed, or for other bytes. The caller owns it.
   *
   * @param bytesMax its capacity, in bytes
   * @throws memory_full
   */
  allocate(bytesMax: number): ByteBlock {
    return new ByteBlock(this.#parts.memory, bytesMax);
  }

  /**
   * A block with a copy of `bytes`; a promise if there are more than SLICE_BYTES, which are copied in slices. The
   * caller owns it.
   *
   * @throws memory_full
   */
  allocateCopy(bytes: Buffer): ByteBlock | Promise<ByteBlock> {
    const block = this.allocate(bytes.length);
    if (bytes.length > SLICE_BYTES) return appendInSlices(block, bytes);
    block.append(bytes);
    return block;
  }

  /**
   * Parses a document and frees it, whatever happens. The caller owns the result.
   *
   * @param reviver as of JSON.parse; it is not called for the numbers of tensors
   * @returns no promise for a document of up to 12 KiB: most bodies are that short, and a promise would cost
   *   them another pass through the microtask queue
   * @throws malformed_json · duplicate_key · memory_full; of a longer document also queue_full ·
   *   deadline_exceeded · client_closed · worker_failed, and ragged_array · out_of_range · invalid_request. For a
   *   short document the last three are thrown later, by the code that reads the value
   */
  parse(document: ByteBlock, lifetime: Lifetime, reviver?: Reviver): ParsedJson | Promise<ParsedJson> {
    const isShort = document.bytes <= this.#inlineBytesMax;
    return lifetime.record.measure('readMs', () =>
      isShort ? this.#parseInline(document, reviver) : this.#parseByJob(document, lifetime, reviver),
    );
  }

  /** By try and finally, as `using` takes 0.25 µs of the 2.5 µs in which a short body is parsed. */
  #parseInline(document: ByteBlock, reviver: Reviver | undefined): ParsedJson {
    try {
      stripByteOrderMark(document.view());
      if (document.bytes <= this.#wholeBytesMax) return parseWhole(document, reviver);
      const job = this.#readJob(document);
      this.#runInline(job);
      return parseSkeleton(job, reviver) ?? parseWhole(document, reviver);
    } finally {
      document.release();
    }
  }

  async #parseByJob(
    received: ByteBlock,
    lifetime: Lifetime,
    reviver: Reviver | undefined,
  ): Promise<ParsedJson> {
    using document = received;
    stripByteOrderMark(document.view());
    using unfinished = new DisposableStack();
    const job = unfinished.use(this.#readJob(document));
    const flops = document.bytes * this.#flopsPerByte;
    await this.#schedule(job, { kind: 'read', flops, completesRequest: false }, lifetime);
    // parseSkeleton() frees the job, or its result owns it.
    unfinished.move();
    const parsed = parseSkeleton(job, reviver);
    if (parsed) return parsed;
    throw await this.#faultOf(document, lifetime);
  }

  #readJob(document: ByteBlock): ReadJob {
    const { memory, kernels } = this.#parts;
    return new ReadJob(memory, document, {
      names: this.#names,
      numbersMax: kernels.countCommas(document.ptr, document.bytes) + 1,
      outsideBytesMax: this.#outsideBytesMax,
    });
  }

  /** What is wrong with a document that the kernel has declined. @throws as parse */
  async #faultOf({ ptr, bytes }: ByteBlock, lifetime: Lifetime): Promise<unknown> {
    using check = new HostJob(this.#parts.memory, 'checkJson', { ptr, bytes, args: [this.#outsideBytesMax] });
    const flops = CHECK_COST * bytes * this.#flopsPerByte;
    await this.#schedule(check, { kind: 'check', flops, completesRequest: true }, lifetime);
    try {
      check.result();
    } catch (fault) {
      return fault;
    }
    return new Error('The kernel has declined a document in which nothing is wrong.');
  }

  /**
   * Prints JSON. The tensors have to stay until this has returned or, if it is a promise, until that has
   * settled. The caller owns the result.
   *
   * @returns a promise if the tensors have more than 1,024 numbers
   * @throws memory_full; if it is a promise also deadline_exceeded · client_closed · worker_failed
   */
  stringify(segments: readonly JsonSegment[], lifetime: Lifetime): PrintedJson | Promise<PrintedJson> {
    return lifetime.record.measure('printMs', () => this.#print(segments, lifetime));
  }

  #print(segments: readonly JsonSegment[], lifetime: Lifetime): PrintedJson | Promise<PrintedJson> {
    const job = new PrintJob(this.#parts.memory, segments);
    if (job.numbers > INLINE_NUMBERS_MAX) return this.#printByJob(job, lifetime);
    this.#runInline(job);
    return job;
  }

  async #printByJob(job: PrintJob, lifetime: Lifetime): Promise<PrintedJson> {
    using unfinished = new DisposableStack();
    unfinished.use(job);
    const flops = job.numbers * this.#flopsPerNumber;
    await this.#schedule(job, { kind: 'print', flops, completesRequest: true }, lifetime);
    // The caller owns the job.
    unfinished.move();
    return job;
  }

  /** Like stringify(), with the JSON copied to memory of its own. */
  stringifyToBuffer(segments: readonly JsonSegment[], lifetime: Lifetime): Buffer | Promise<Buffer> {
    const printed = this.stringify(segments, lifetime);
    if (printed instanceof Promise) return printed.then(copyInSlices);
    using json = printed;
    return Buffer.from(json.view());
  }

  /**
   * Measures what reading and printing cost on this thread, in a few milliseconds.
   *
   * @param flopsPerMs the speed of a step, in whose unit the scheduler compares costs
   */
  calibrate(flopsPerMs: number): void {
    const { memory, kernels } = this.#parts;
    const data = Float32Array.from({ length: CALIBRATION_NUMBERS }, (_, i) => Math.sin(i + 1));
    const tensor = { shape: [data.length], strides: [1], data };
    using printing = new PrintJob(memory, [{ text: '{"x":', tensor }, { text: '}' }]);
    const printMs = medianMs(() => kernels.run(printing.ptr), CALIBRATION_ROUNDS);
    using document = this.allocate(printing.view().length);
    document.append(printing.view());
    using reading = this.#readJob(document);
    const readMs = medianMs(() => kernels.run(reading.ptr), CALIBRATION_ROUNDS);
    this.#flopsPerNumber = (printMs * flopsPerMs) / data.length;
    this.#flopsPerByte = (readMs * flopsPerMs) / document.bytes;
  }

  /** Frees the job if it fails. */
  #runInline(job: ReadJob | PrintJob): void {
    try {
      this.#parts.kernels.run(job.ptr);
    } catch (error) {
      job.release();
      throw error;
    }
  }

  #schedule(job: Job, { kind, flops, completesRequest }: JobCost, lifetime: Lifetime) {
    const work = { flops, cost: { kind, flops }, partsMax: 1, completesRequest, split: () => [job.ptr] };
    return this.#parts.scheduler.run(work, lifetime);
  }
}

type Job = ReadJob | PrintJob | HostJob;

interface JobCost {
  /** Kinds of jobs have speeds of their own. */
  readonly kind: 'read' | 'print' | 'check';
  readonly flops: number;
  /** As in Work of the scheduler. */
  readonly completesRequest: boolean;
}

/** Frees the JSON. */
async function copyInSlices(printed: PrintedJson): Promise<Buffer> {
  using json = printed;
  const bytes = json.view();
  const copy = Buffer.allocUnsafe(bytes.length);
  for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
    if (at > 0) await nextIteration();
    copy.set(bytes.subarray(at, at + SLICE_BYTES), at);
  }
  return copy;
}

async function appendInSlices(block: ByteBlock, bytes: Buffer): Promise<ByteBlock> {
  for (let at = 0; at < bytes.length; at += SLICE_BYTES) {
    if (at > 0) await nextIteration();
    block.append(bytes.subarray(at, at + SLICE_BYTES));
  }
  return block;
}
