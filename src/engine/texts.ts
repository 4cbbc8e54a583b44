// JSON in and out of linear memory. What costs more than handing it over is read and printed by a
// worker, like any other work; the calling thread then only moves bytes.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Answer, piecesOf } from '../codec/answer.ts';
import type { Piece } from '../codec/pieces.ts';
import { readJson } from '../codec/json-read.ts';
import { type MovedTensor, TENSOR_NAMES, placeTensors } from '../codec/moved.ts';
import type { Scheduler } from '../scheduler/scheduler.ts';
import type { Kernels } from '../wasm/load.ts';
import type { LinearMemory } from '../wasm/memory.ts';
import { PrintJob } from '../wasm/print-job.ts';
import { ReadJob, TensorNames, TextBlock } from '../wasm/read-job.ts';

/** Up to here JSON.parse is done before a record is set up: 3 µs beside 8 µs for 300 bytes. */
const PLAIN_BYTES_MAX = 1_024;
/** These take about 5 µs: no hand-over to another thread is shorter. */
const HERE_BYTES_MIN = 4 * 1024;
const HERE_NUMBERS_MIN = 300;
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
  #flopsPerByte = 25;
  #flopsPerNumber = 400;

  constructor(parts: TextsParts) {
    this.#parts = parts;
    this.#names = new TensorNames(parts.memory, TENSOR_NAMES);
  }

  /**
   * Room for a text that comes in; to be handed to read(), or released.
   *
   * @throws memory_full
   */
  open(bytesMax: number): TextBlock {
    return new TextBlock(this.#parts.memory, bytesMax);
  }

  /**
   * Reads a body and releases its text, whatever happens.
   *
   * @throws malformed_json · duplicate_key · memory_full · queue_full · deadline_exceeded ·
   *   worker_failed
   */
  async read(text: TextBlock): Promise<JsonBody> {
    const { memory, kernels, plainBytesMax = PLAIN_BYTES_MAX } = this.#parts;
    let job: ReadJob | undefined;
    try {
      if (text.bytes <= plainBytesMax) return plainBody(text);
      const numbersMax = kernels.countCommas(text.ptr, text.bytes) + 1;
      job = new ReadJob(memory, this.#names, text, numbersMax);
      if (text.bytes <= HERE_BYTES_MIN) kernels.run(job.ptr);
      else await this.#run(job.ptr, text.bytes * this.#flopsPerByte, false);
      const body = bodyOf(job);
      if (body) {
        job = undefined;
        return body;
      }
      return plainBody(text);
    } finally {
      job?.release();
      text.release();
    }
  }

  /** An answer as JSON; its tensors may be released once this has settled. @throws as printPieces */
  print(answer: Answer): Promise<Buffer> {
    return this.printPieces(piecesOf(answer));
  }

  /** @throws memory_full · deadline_exceeded · worker_failed */
  async printPieces(pieces: readonly Piece[]): Promise<Buffer> {
    const job = new PrintJob(this.#parts.memory, pieces);
    try {
      const { ptr, numbers } = job;
      if (numbers <= HERE_NUMBERS_MIN) this.#parts.kernels.run(ptr);
      else await this.#run(ptr, numbers * this.#flopsPerNumber, true);
      return await copyInTurns(job.text());
    } finally {
      job.release();
    }
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

  async #run(job: number, flops: number, isLast: boolean): Promise<void> {
    await this.#parts.scheduler.run({ flops, partsMax: 1, isLast, split: () => [job] });
  }
}

function plainBody(text: TextBlock): JsonBody {
  return { value: readJson(text.copy()), release: () => {} };
}

/** Undefined if the text has to be read in the plain way, which also finds what may be wrong. */
function bodyOf(job: ReadJob): JsonBody | undefined {
  const skeleton = job.skeleton();
  if (!skeleton) return undefined;
  let value: unknown;
  try {
    value = readJson(skeleton);
  } catch {
    return undefined;
  }
  let isReleased = false;
  const tensors = job.tensors();
  if (!tensors) return undefined;
  const moved = tensors.map(
    ({ shape, numbers }): MovedTensor => ({
      shape,
      numbers: () => (isReleased ? undefined : numbers),
    }),
  );
  placeTensors(value, moved);
  return {
    value,
    release: () => {
      if (!isReleased) job.release();
      isReleased = true;
    },
  };
}

function medianMs(run: () => void): number {
  const times = Array.from({ length: CALIBRATION_ROUNDS }, () => {
    const start = performance.now();
    run();
    return performance.now() - start;
  });
  return times.toSorted((a, b) => a - b)[CALIBRATION_ROUNDS >> 1]!;
}

async function copyInTurns(text: Uint8Array): Promise<Buffer> {
  const copy = Buffer.allocUnsafe(text.length);
  for (let at = 0; at < text.length; at += COPIED_BYTES_MAX) {
    if (at > 0) await nextTurn();
    copy.set(text.subarray(at, at + COPIED_BYTES_MAX), at);
  }
  return copy;
}
