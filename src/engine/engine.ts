// Computes what a request asks for: reads its tensors into a job, runs it, and checks the result.
//
//   h_t = tanh(h_{t-1} W_h + x_t W_x + b)
//
// A step is computed as a sequence of one step, so both behave the same.
import { modelSizes, tanhSpecs } from '../layers.ts';
import type { Lifetime } from '../lifetime.ts';
import type { ModelLease } from '../models/packed-weights.ts';
import type { ModelLibrary } from '../models/library.ts';
import type { WeightsCache } from '../models/weights-cache.ts';
import type { Scheduler } from '../scheduler/scheduler.ts';
import type { TensorSource, Weights } from '../tensor.ts';
import { costOf } from '../wasm/job-cost.ts';
import { partsMaxOf } from '../wasm/job-layout.ts';
import { Job } from '../wasm/job.ts';
import type { LinearMemory } from '../wasm/memory.ts';
import type { TensorCopier } from './tensor-copier.ts';
import { JobResult, type RecurrenceResult, expectFinite } from './result.ts';
import {
  type Limits,
  type ModelSizes,
  type RecurrenceInput,
  type WeightsSource,
  resolveSizes,
  resolveWeightsSizes,
} from './shapes.ts';
import { RecurrenceStream, planStream } from './stream.ts';
import type { JsonCodec } from './json-codec.ts';
import type { WeightsPacker } from './weights-packer.ts';

export type { RecurrenceResult };

export interface EngineParts {
  readonly memory: LinearMemory;
  readonly weightsCache: WeightsCache;
  readonly library: ModelLibrary;
  readonly scheduler: Scheduler;
  readonly limits: Limits;
  readonly jsonCodec: JsonCodec;
  readonly tensorCopier: TensorCopier;
  readonly weightsPacker: WeightsPacker;
  /** Whether all numbers are finite; see wasm/finite.ts. */
  readonly isFinite: (numbers: Float32Array) => boolean;
}

export class Engine {
  /** How JSON comes in and goes out. */
  readonly jsonCodec: JsonCodec;
  readonly #parts: EngineParts;

  constructor(parts: EngineParts) {
    this.#parts = parts;
    this.jsonCodec = parts.jsonCodec;
  }

  /**
   * Advances a mini-batch by T steps. Disposing of the result frees its memory and the model.
   *
   * Bits: a row's result depends on its own x, h and the weights only; not on N, T, its neighbours,
   * or how the sequence was divided into calls.
   *
   * @throws model_not_found · shape_mismatch · out_of_range · limit_exceeded before anything is computed;
   *   memory_full · queue_full · deadline_exceeded · client_closed · worker_failed; not_finite for a result
   *   that overflowed
   */
  async run(input: RecurrenceInput, lifetime: Lifetime): Promise<RecurrenceResult> {
    const { memory, scheduler, limits, isFinite, tensorCopier } = this.#parts;
    // For a small step none of these calls returns a promise, and nothing is awaited: an await costs 0.07 µs.
    const fetched = this.fetchModel(input.weights);
    if (fetched) await fetched;
    const sizes = this.#sizesOf(input.weights);
    const { T, N } = resolveSizes(input, sizes, limits);
    const { lengths, keepsStates, trace } = input;
    const cost = costOf(tanhSpecs(sizes), { T, N, lengths, keepsStates, trace });
    scheduler.expectPossible(cost, partsMaxOf(N), lifetime);
    const leased = this.#lease(input.weights, lifetime);
    const lease = leased instanceof Promise ? await leased : leased;
    let job: Job | undefined;
    // The result owns the job and the lease; after an error they are released in `catch`. A DisposableStack in place of
    // that would add 0.45 µs to the 30 µs of a small step.
    try {
      const xPtr = this.#addressOf(input.x);
      const hPtr = input.h && this.#addressOf(input.h);
      job = new Job(memory, lease.model, { T, N, lengths, keepsStates, trace, xPtr, hPtr });
      // Numbers that are in linear memory already are not copied if all of them are finite. If not, they are copied:
      // that throws an error that names the first one that is not finite.
      const copied = xPtr === undefined || !isFinite(job.x) ? tensorCopier.copy(input.x, job.x, lifetime) : undefined;
      if (copied) await copied;
      const { h } = job.states[0]!;
      if (hPtr === undefined || !isFinite(h)) input.h?.copyTo(h, isFinite);
      const computed = scheduler.run(job, lifetime);
      if (computed) await computed;
      const result = new JobResult(job, lease);
      expectFinite(result, isFinite, input.x.axes);
      return result;
    } catch (error) {
      job?.release();
      lease.release();
      throw error;
    }
  }

  /**
   * Loads a registered model from the store if this process does not have it. Undefined if there is nothing to
   * wait for.
   *
   * @throws as ModelLibrary.ensure
   */
  fetchModel(weights: WeightsSource | string): Promise<void> | undefined {
    const { library } = this.#parts;
    const isLoaded = typeof weights !== 'string' || library.registry.has(weights);
    return isLoaded ? undefined : library.ensure(weights);
  }

  /**
   * The same computation some steps at a time, to be disposed of by the caller. x and h are copied here and
   * not needed afterwards. The bits are those of run().
   *
   * @throws what run() throws before anything is computed (fetchModel() comes first), and memory_full
   */
  async stream(input: RecurrenceInput, lifetime: Lifetime): Promise<RecurrenceStream> {
    const sizes = this.#sizesOf(input.weights);
    const plan = planStream(input, sizes, this.#parts.limits);
    const { keepsStates, trace } = input;
    // The cost of a chunk: the deadline is renewed between chunks.
    const cost = costOf(tanhSpecs(sizes), { T: plan.chunkSteps, N: plan.N, keepsStates, trace });
    this.#parts.scheduler.expectPossible(cost, partsMaxOf(plan.N), lifetime);
    const lease = await this.#lease(input.weights, lifetime);
    return RecurrenceStream.open(this.#parts, lease, input, plan, lifetime);
  }

  /**
   * The address of a tensor that is in linear memory, or undefined. The request owns that memory only while its
   * client is connected: if the connection closes while the job waits, another request may overwrite the tensor. The
   * result is then wrong, but it is not sent, and no session commits it.
   */
  #addressOf(source: TensorSource): number | undefined {
    const numbers = source.inPlace?.();
    return numbers && this.#parts.memory.holds(numbers) ? numbers.byteOffset : undefined;
  }

  #sizesOf(weights: WeightsSource | string): ModelSizes {
    if (typeof weights !== 'string') return resolveWeightsSizes(weights);
    const { layers } = this.#parts.library.registry.model(weights);
    return { ...modelSizes(layers), origin: `model ${JSON.stringify(weights)}` };
  }

  #lease(weights: WeightsSource | string, lifetime: Lifetime): ModelLease | Promise<ModelLease> {
    const { weightsCache, library, weightsPacker } = this.#parts;
    if (typeof weights === 'string') return library.registry.lease(weights);
    const [D, H] = weights.W_x.shape as [number, number];
    return weightsPacker.isLarge({ D, H, O: 0 })
      ? weightsPacker.lease(weights, lifetime)
      : weightsCache.acquire(readWeights(weights));
  }
}

/** Copies weights into memory of their own. @throws out_of_range */
export function readWeights(source: WeightsSource): Weights {
  const [D, H] = source.W_x.shape as [number, number];
  const W_x = new Float32Array(D * H);
  const W_h = new Float32Array(H * H);
  const b = new Float32Array(H);
  source.W_x.copyTo(W_x);
  source.W_h.copyTo(W_h);
  source.b?.copyTo(b);
  return { D, H, W_x, W_h, b };
}
