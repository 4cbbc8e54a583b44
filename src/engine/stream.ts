// A sequence, some steps at a time: each chunk is a job of its own that begins with the state that the last
// one ended with. Between chunks only x and the state are held; states, readouts and traces exist while they
// are printed.
//
//   chunk k: steps t+1 … t+S of T      h, c ← the states after them      t ← t + S
//
// A row's bits do not depend on how its sequence is divided, so they are those of one long job.
import type { Lifetime } from '../lifetime.ts';
import type { ModelLease } from '../models/packed-weights.ts';
import type { Scheduler } from '../scheduler/scheduler.ts';
import { type LayerSpec, statesOf } from '../layers.ts';
import { type JobCost, costOf } from '../wasm/job-cost.ts';
import { type InitialStates, Job } from '../wasm/job.ts';
import type { TensorSource } from '../tensor.ts';
import type { LinearMemory } from '../wasm/memory.ts';
import type { TensorCopier } from './tensor-copier.ts';
import { expectFinite } from './expect-finite.ts';
import { type RecurrenceTensors, copyRows } from './result.ts';
import {
  type Limits,
  type RecurrenceInput,
  type RunModel,
  type Sizes,
  answerNumbersOf,
  expectAnswerWithinLimit,
  resolveSizes,
} from './shapes.ts';
import { copyStates } from './states.ts';
import { toTokens } from './tokens.ts';

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
  readonly chunkCost: JobCost;
  /** Of all steps. */
  readonly cost: JobCost;
}

/** The tensors of some steps of the sequence, their outer axis as long as there are steps. */
export interface StepTensors extends RecurrenceTensors {
  /** How many steps came before these. */
  readonly stepsBefore: number;
  /** How many steps these are. */
  readonly steps: number;
  /** Whether the states and y are those of the whole sequence. */
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
export function planStream(input: RecurrenceInput, { layers, origin }: RunModel, limits: Limits): StreamPlan {
  const sizes = resolveSizes(input, { layers, origin }, { ...limits, answerNumbers: Infinity });
  const { N } = sizes;
  const chunkSteps = stepsOfChunk(input, sizes, layers, limits);
  expectAnswerWithinLimit(input, { T: chunkSteps, N }, layers, limits);
  const { keepsStates, trace } = input;
  return { ...sizes, chunkSteps, chunkCost: costOf(layers, { T: chunkSteps, N, keepsStates, trace }) };
}

/** As many steps as stay within the numbers, the events and the work of a chunk, at least one. */
function stepsOfChunk(
  { keepsStates, trace }: RecurrenceInput,
  { T, N }: Pick<Sizes, 'T' | 'N'>,
  layers: readonly LayerSpec[],
  limits: Limits,
): number {
  const { perStep, last } = answerNumbersOf({ keepsStates, trace }, N, layers);
  const numbersMax = Math.min(CHUNK_NUMBERS_MAX, limits.answerNumbers) - last;
  // Without numbers a step has no event.
  const stepsByEvents = perStep === 0 ? T : Math.min(CHUNK_STEPS_MAX, numbersMax / perStep);
  const stepsByWork = CHUNK_FLOPS_MAX / costOf(layers, { T: 1, N, keepsStates, trace }).flops;
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
  /** (T, N, D); of an embedding the words of row numbers, (T, N). */
  readonly #x: Float32Array;
  /** The states after the accepted steps, (N, H) each. */
  readonly #states: readonly InitialStates[];
  #stepsTaken = 0;
  #isDisposed = false;

  /**
   * Copies x and the states, which are not needed afterwards. It owns the lease from then on, also when it throws.
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
      const copy = (source: TensorSource, target: Float32Array) => parts.tensorCopier.copy(source, target, lifetime);
      await copy(input.x, stream.#x);
      const first = lease.model.layers[0]!;
      if (first.type === 'embedding') await toTokens(input.x, stream.#x, wordsOf(stream.#x), first.V);
      await copyStates(input, stream.#states, copy);
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
    const { T, N, D } = plan;
    const slots = statesOf(lease.model.layers);
    const numbers = slots.reduce((sum, { H, hasC }) => sum + N * H * (hasC ? 2 : 1), T * N * D);
    this.T = T;
    this.#parts = parts;
    this.#lease = lease;
    this.#plan = plan;
    this.#lifetime = lifetime;
    this.#lengths = input.lengths;
    this.#keepsStates = input.keepsStates;
    this.#trace = input.trace;
    try {
      this.#ptr = parts.memory.allocate(numbers * F32);
    } catch (error) {
      lease.release();
      throw error;
    }
    let at = this.#ptr;
    const next = (count: number) => {
      const view = parts.memory.f32(at, count);
      at += view.byteLength;
      return view;
    };
    this.#x = next(T * N * D);
    this.#states = slots.map(({ H, hasC }) => ({ h: next(N * H).fill(0), c: hasC ? next(N * H).fill(0) : undefined }));
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
    const { record } = this.#lifetime;
    const begunMs = performance.now();
    const traced = record.trace?.begin('compute', begunMs);
    const startMs = record.clockMs(begunMs);
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
      for (const [k, { h, c }] of this.#states.entries()) {
        job.states[k]!.h.set(h);
        if (c) job.states[k]!.c!.set(c);
      }
      await this.#parts.scheduler.run(job, this.#lifetime);
      const isLast = stepsBefore + steps === this.T;
      const result = stepsOf(job, { stepsBefore, steps, isLast });
      expectFinite(result, this.#parts.isFinite, 'TND', job.infiniteState(), stepsBefore);
      return result;
    } catch (error) {
      job.release();
      throw error;
    } finally {
      const endedMs = performance.now();
      record.computeMs += record.clockMs(endedMs) - startMs;
      record.trace?.end(traced, endedMs);
    }
  }

  /** Lets the next steps begin with the states after these. */
  accept({ states, stepsBefore, steps }: StepTensors): void {
    for (const [k, { h, c }] of states.entries()) {
      copyRows(h, this.#states[k]!.h);
      if (c) copyRows(c, this.#states[k]!.c!);
    }
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
    states: job.finalStates(),
    hs: job.hs,
    // The readout of a state in between is part of the answer only where all of them are.
    y: range.isLast ? job.y : undefined,
    ys: job.ys,
    trace: job.trace,
    gates: job.gates,
    [Symbol.dispose]: () => job.release(),
  };
}

function wordsOf({ buffer, byteOffset, length }: Float32Array): Uint32Array {
  return new Uint32Array(buffer, byteOffset, length);
}

function clamp(value: number, min: number, max: number): number {
  return Math.max(min, Math.min(max, value));
}
