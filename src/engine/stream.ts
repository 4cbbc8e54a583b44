// A sequence, some steps at a time: each chunk is a job of its own that begins with the state that the last
// one ended with. Between chunks only x and the state are held; states, readouts and traces exist while they
// are printed.
//
//   chunk k: steps t+1 … t+S of T      h ← the state after them      t ← t + S
//
// A row's bits do not depend on how its sequence is divided, so they are those of one long job.
import type { Lifetime } from '../lifetime.ts';
import type { ModelLease } from '../models/packed-weights.ts';
import type { Scheduler } from '../scheduler/scheduler.ts';
import { Job } from '../wasm/job.ts';
import type { LinearMemory } from '../wasm/memory.ts';
import type { TensorCopier } from './tensor-copier.ts';
import { type RecurrenceTensors, copyRows, expectFinite } from './result.ts';
import {
  type Limits,
  type ModelSizes,
  type RecurrenceInput,
  type Sizes,
  resolveSizes,
  expectAnswerWithinLimit,
} from './shapes.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;

/** About 256 KiB of JSON, at 11 characters a number: printing them takes a few milliseconds. */
const CHUNK_NUMBERS_MAX = 24_576;
/** Assembling the events of a step takes the main thread some 10 µs. */
const CHUNK_STEPS_MAX = 256;
/** Some ten milliseconds of work, which are wasted if the client has disconnected. */
const CHUNK_FLOPS_MAX = 2 ** 29;

export interface StreamPlan extends Sizes {
  /** Steps of each chunk but the last, which has the rest. */
  readonly chunkSteps: number;
}

/** The tensors of some steps of the sequence, their outer axis as long as there are steps. */
export interface StepTensors extends RecurrenceTensors {
  /** How many steps came before these. */
  readonly stepsBefore: number;
  /** How many steps these are. */
  readonly steps: number;
  /** Whether h and y are those of the whole sequence. */
  readonly isLast: boolean;
}

/** Some steps that were computed. Its tensors are valid until it is disposed of. */
export interface StreamedSteps extends StepTensors, Disposable {}

export interface StreamParts {
  readonly memory: LinearMemory;
  readonly scheduler: Scheduler;
  /** Whether all numbers are finite. */
  readonly isFinite: (numbers: Float32Array) => boolean;
}

/**
 * Checks the input of a stream and decides how many steps a chunk has. The limit on the numbers of an answer
 * holds for a chunk, all other limits for the whole.
 *
 * @throws shape_mismatch · out_of_range (lengths) · limit_exceeded
 */
export function planStream(input: RecurrenceInput, model: ModelSizes, limits: Limits): StreamPlan {
  const sizes = resolveSizes(input, model, { ...limits, answerNumbers: Infinity });
  const chunkSteps = stepsOfChunk(input, sizes, model.O, limits);
  expectAnswerWithinLimit(input, { ...sizes, T: chunkSteps }, model.O, limits);
  return { ...sizes, chunkSteps };
}

/** As many steps as stay within the numbers, the events and the work of a chunk, at least one. */
function stepsOfChunk(
  { keepsStates, trace }: RecurrenceInput,
  { T, N, D, H }: Sizes,
  O: number,
  limits: Limits,
): number {
  const numbersOfStep = (keepsStates ? N * (H + O) : 0) + (trace ? 3 * N * H : 0);
  const numbersMax = Math.min(CHUNK_NUMBERS_MAX, limits.answerNumbers) - N * (H + O);
  // Without numbers a step has no event.
  const stepsByEvents = numbersOfStep === 0 ? T : Math.min(CHUNK_STEPS_MAX, numbersMax / numbersOfStep);
  const stepsByWork = CHUNK_FLOPS_MAX / (2 * N * (D + H + O) * H);
  return Math.max(1, Math.floor(Math.min(T, stepsByEvents, stepsByWork)));
}

/** A sequence that is computed chunk by chunk; holds x, the state and the lease on the model until disposed of. */
export class RecurrenceStream implements Disposable {
  readonly T: number;
  readonly #parts: StreamParts;
  readonly #lease: ModelLease;
  readonly #plan: StreamPlan;
  readonly #lifetime: Lifetime;
  readonly #lengths: readonly number[] | undefined;
  readonly #keepsStates: boolean;
  readonly #trace: boolean;
  readonly #ptr: number;
  /** (T, N, D) */
  readonly #x: Float32Array;
  /** (N, H), the state after the accepted steps. */
  readonly #h: Float32Array;
  #stepsTaken = 0;
  #isDisposed = false;

  /**
   * Copies x and h, which are not needed afterwards. It owns the lease from then on, also when it throws.
   *
   * @throws memory_full · out_of_range · as TensorCopier.copy
   */
  static async open(
    parts: StreamParts & { readonly tensorCopier: TensorCopier },
    lease: ModelLease,
    input: RecurrenceInput,
    plan: StreamPlan,
    lifetime: Lifetime,
  ): Promise<RecurrenceStream> {
    const stream = new RecurrenceStream(parts, lease, input, plan, lifetime);
    try {
      await parts.tensorCopier.copy(input.x, stream.#x, lifetime);
      if (input.h) await parts.tensorCopier.copy(input.h, stream.#h, lifetime);
      return stream;
    } catch (error) {
      stream[Symbol.dispose]();
      throw error;
    }
  }

  private constructor(
    parts: StreamParts,
    lease: ModelLease,
    input: RecurrenceInput,
    plan: StreamPlan,
    lifetime: Lifetime,
  ) {
    const { T, N, D, H } = plan;
    this.T = T;
    this.#parts = parts;
    this.#lease = lease;
    this.#plan = plan;
    this.#lifetime = lifetime;
    this.#lengths = input.lengths;
    this.#keepsStates = input.keepsStates;
    this.#trace = input.trace;
    try {
      this.#ptr = parts.memory.allocate((T * N * D + N * H) * F32);
    } catch (error) {
      lease.release();
      throw error;
    }
    this.#x = parts.memory.f32(this.#ptr, T * N * D);
    this.#h = parts.memory.f32(this.#ptr + T * N * D * F32, N * H).fill(0);
  }

  /** Whether all steps were accepted. */
  get isDone(): boolean {
    return this.#stepsTaken === this.T;
  }

  /** How many steps were accepted. */
  get stepsTaken(): number {
    return this.#stepsTaken;
  }

  /**
   * Computes the next steps. They are computed again by the next call unless accept() is given them.
   * One call at a time, and none after the last steps were accepted.
   *
   * @throws memory_full · queue_full · deadline_exceeded · client_closed · worker_failed · not_finite
   */
  async next(): Promise<StreamedSteps> {
    const { N, D, chunkSteps } = this.#plan;
    const stepsBefore = this.#stepsTaken;
    const steps = Math.min(chunkSteps, this.T - stepsBefore);
    const job = new Job(this.#parts.memory, this.#lease.model, {
      T: steps,
      N,
      lengths: this.#lengths?.map((length) => clamp(length - stepsBefore, 0, steps)),
      keepsStates: this.#keepsStates,
      trace: this.#trace,
    });
    try {
      job.x.set(this.#x.subarray(stepsBefore * N * D, (stepsBefore + steps) * N * D));
      job.states[0]!.h.set(this.#h);
      await this.#parts.scheduler.run(job, this.#lifetime);
      const isLast = stepsBefore + steps === this.T;
      const result = stepsOf(job, { stepsBefore, steps, isLast });
      expectFinite(result, this.#parts.isFinite, 'TND', stepsBefore);
      return result;
    } catch (error) {
      job.release();
      throw error;
    }
  }

  /** Lets the next steps begin with the state after these. */
  accept({ h, stepsBefore, steps }: StepTensors): void {
    copyRows(h, this.#h);
    this.#stepsTaken = stepsBefore + steps;
  }

  /** Frees its memory and releases the lease on the model. Not while next() runs; a second call does nothing. */
  [Symbol.dispose](): void {
    if (this.#isDisposed) return;
    this.#isDisposed = true;
    this.#parts.memory.free(this.#ptr);
    this.#lease.release();
  }
}

/** What a chunk's job has computed, to be released with it. */
function stepsOf(
  job: Job,
  range: Pick<StepTensors, 'stepsBefore' | 'steps' | 'isLast'>,
): StreamedSteps {
  return {
    ...range,
    h: job.finalStates()[0]!.h,
    hs: job.hs,
    // The readout of a state in between is part of the answer only where all of them are.
    y: range.isLast ? job.y : undefined,
    ys: job.ys,
    trace: job.trace,
    [Symbol.dispose]: () => job.release(),
  };
}

function clamp(value: number, min: number, max: number): number {
  return Math.max(min, Math.min(max, value));
}
