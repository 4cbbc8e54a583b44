// Computes what a request asks for: reads its tensors into a job, runs it, and checks the result. A step is computed as
// a sequence of one step, so both behave the same.
import type { Lifetime } from '../lifetime.ts';
import type { ModelLease } from '../models/packed-weights.ts';
import type { ModelLibrary } from '../models/library.ts';
import type { TenantModels } from '../models/tenant-models.ts';
import type { WeightsCache } from '../models/weights-cache.ts';
import type { Scheduler } from '../scheduler/scheduler.ts';
import type { TensorSource } from '../tensor.ts';
import { costOf } from '../wasm/job-cost.ts';
import { partsMaxOf } from '../wasm/job-layout.ts';
import { Job } from '../wasm/job.ts';
import type { LinearMemory } from '../wasm/memory.ts';
import type { TensorCopier } from './tensor-copier.ts';
import { toTokens } from './tokens.ts';
import { expectFinite } from './expect-finite.ts';
import { resolveLayers } from './layer-sources.ts';
import { type ResolvedModel, readLayers } from './model-source.ts';
import { JobResult, type RecurrenceResult } from './result.ts';
import { type Limits, type RecurrenceInput, type RunModel, expectForward, resolveSizes } from './shapes.ts';
import { resolveShortForm } from './short-form.ts';
import { JobStep, stepOf } from './shared-step.ts';
import { copyStates, isList } from './states.ts';
import { RecurrenceStream, planStream } from './stream.ts';
import type { JsonCodec } from './json-codec.ts';
import type { WeightsPacker } from './weights-packer.ts';

export type { RecurrenceResult };

export interface EngineParts {
  readonly memory: LinearMemory;
  readonly weightsCache: WeightsCache;
  readonly library: ModelLibrary;
  readonly models: TenantModels;
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
   * Bits: a row's result depends on its own x, states and the weights only; not on N, T, its neighbours,
   * or how the sequence was divided into calls.
   *
   * @throws model_not_found · shape_mismatch · out_of_range · limit_exceeded · model_unsupported · invalid_request
   *   before anything is computed; memory_full · queue_full · deadline_exceeded · client_closed · worker_failed;
   *   not_finite for a result that overflowed
   */
  async run(input: RecurrenceInput, lifetime: Lifetime): Promise<RecurrenceResult> {
    const { memory, scheduler, limits, isFinite, tensorCopier } = this.#parts;
    const { record } = lifetime;
    const begunMs = performance.now();
    const traced = record.trace?.begin('compute', begunMs);
    const startMs = record.clockMs(begunMs);
    // For a small step none of these calls returns a promise, and nothing is awaited: an await costs 0.07 µs.
    const found = this.resolveModel(input.weights, lifetime);
    const modelId = found instanceof Promise ? await found : found;
    const model = this.#modelOf(input.weights, modelId);
    const { T, N, cost } = resolveSizes(input, model, limits);
    const { x, h, c, lengths, keepsStates, trace } = input;
    scheduler.expectPossible(cost, partsMaxOf(N), lifetime);
    const charged = lifetime.chargeFlops(cost.flops);
    if (charged) await charged;
    const leased = this.#lease(modelId, model, lifetime);
    const lease = leased instanceof Promise ? await leased : leased;
    record.N = N;
    record.T = T;
    record.modelId = lease.id;
    let job: Job | undefined;
    // The result owns the job and the lease; after an error they are released in `catch`. A DisposableStack in place of
    // that would add 0.45 µs to the 30 µs of a small step.
    try {
      const first = model.layers[0]!;
      const V = first.type === 'embedding' ? first.V : undefined;
      const xPtr = V !== undefined ? undefined : this.#addressOf(x);
      const hPtr = !h || isList(h) ? undefined : this.#addressOf(h);
      job = new Job(memory, lease.model, { T, N, lengths, keepsStates, trace, xPtr, hPtr });
      // Numbers that are in linear memory already are not copied if all of them are finite. If not, they are copied:
      // that throws an error that names the first one that is not finite.
      const copied = xPtr === undefined || !isFinite(job.x) ? tensorCopier.copy(x, job.x, lifetime) : undefined;
      if (copied) await copied;
      const converted = V === undefined ? undefined : toTokens(x, job.x, job.ids, V);
      if (converted) await converted;
      const { h: hBefore } = job.states[0]!;
      if (c || (h && isList(h))) {
        const given = copyStates({ h, c }, job.states, (from, to) => tensorCopier.copy(from, to, lifetime));
        if (given) await given;
      } else if (h && (hPtr === undefined || !isFinite(hBefore))) {
        h.copyTo(hBefore, isFinite);
      }
      const filled = job;
      const step = job.isStep ? () => new JobStep(memory, lease.model, filled) : undefined;
      const computed = scheduler.run(job, lifetime, step);
      if (computed) await computed;
      const result = new JobResult(job, lease);
      expectFinite(result, isFinite, x.axes, job.infiniteState());
      return result;
    } catch (error) {
      job?.release();
      lease.release();
      throw error;
    } finally {
      const endedMs = performance.now();
      record.computeMs += record.clockMs(endedMs) - startMs;
      record.trace?.end(traced, endedMs);
    }
  }

  /** How many rows of a model that this process has may be computed by runTogether(). */
  rowsMaxTogether(modelId: string): number {
    const { layers } = this.#parts.library.registry.model(modelId);
    return this.#parts.scheduler.shared.rowsMaxOf((N) => costOf(layers, stepOf(N)));
  }

  /**
   * Several steps of N rows each, of one client, as one mini-batch with a model that this process has. The rows of the k-th
   * stand from k N on. Their shapes and limits were checked, and each was charged.
   *
   * @param fill writes x and the states of the job; it is called once
   * @throws as run(), of all of them
   */
  async runTogether(
    modelId: string,
    { steps, N }: { readonly steps: number; readonly N: number },
    fill: (job: Job) => void,
    lifetime: Lifetime,
  ): Promise<RecurrenceResult> {
    const { memory, library, scheduler, isFinite } = this.#parts;
    const shape = stepOf(steps * N);
    return lifetime.record.measure('computeMs', async () => {
      const cost = costOf(library.registry.model(modelId).layers, shape);
      scheduler.expectPossible(cost, partsMaxOf(shape.N), lifetime);
      using failed = new DisposableStack();
      const lease = failed.use(library.registry.lease(modelId));
      const job = failed.use(new Job(memory, lease.model, shape));
      fill(job);
      await scheduler.run(job, lifetime);
      const result = new JobResult(job, lease);
      expectFinite(result, isFinite, 'ND', job.infiniteState());
      scheduler.shared.count(steps);
      // The result owns the job and the lease.
      failed.move();
      return result;
    });
  }

  /**
   * The id of a registered model, which is loaded from the store if this process does not have it; undefined for inline
   * weights. No promise if there is nothing to wait for.
   *
   * @throws as TenantModels.resolve
   */
  resolveModel(
    weights: RecurrenceInput['weights'],
    { tenant }: Lifetime,
  ): string | undefined | Promise<string> {
    const { library, models } = this.#parts;
    if (typeof weights === 'string') return models.resolve(weights, tenant);
    if (!('modelId' in weights)) return undefined;
    const { modelId } = weights;
    return library.registry.has(modelId) ? modelId : library.ensure(modelId).then(() => modelId);
  }

  /**
   * The same computation some steps at a time, to be disposed of by the caller. x and h are copied here and
   * not needed afterwards. The bits are those of run().
   *
   * @throws what run() throws before anything is computed, and memory_full
   */
  async stream(input: RecurrenceInput, lifetime: Lifetime): Promise<RecurrenceStream> {
    const modelId = await this.resolveModel(input.weights, lifetime);
    const model = this.#modelOf(input.weights, modelId);
    expectForward(model.layers, 'a stream begins before they are computed: send the request without this Accept');
    const plan = planStream(input, model, this.#parts.limits);
    // The cost of a chunk: the deadline is renewed between chunks.
    this.#parts.scheduler.expectPossible(plan.chunkCost, partsMaxOf(plan.N), lifetime);
    // At once for all steps: a stream that has begun is not refused.
    await lifetime.usage?.chargeFlops(plan.cost.flops);
    const lease = await this.#lease(modelId, model, lifetime);
    const { record } = lifetime;
    record.N = plan.N;
    record.T = plan.T;
    record.modelId = lease.id;
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

  /** The layers of a registered model, or inline weights whose shapes agree. */
  #modelOf(weights: RecurrenceInput['weights'], modelId: string | undefined): RunModel | ResolvedModel {
    const { library, limits } = this.#parts;
    if (typeof weights === 'string' || 'modelId' in weights) {
      const { layers } = library.registry.model(modelId!);
      return { layers, origin: `model ${JSON.stringify(typeof weights === 'string' ? weights : modelId)}` };
    }
    return 'layers' in weights ? resolveLayers(weights.layers, limits) : resolveShortForm(weights);
  }

  #lease(
    modelId: string | undefined,
    model: RunModel | ResolvedModel,
    lifetime: Lifetime,
  ): ModelLease | Promise<ModelLease> {
    const { weightsCache, library, weightsPacker } = this.#parts;
    if (!('sources' in model)) return library.registry.lease(modelId!);
    return weightsPacker.isLarge(model.layers)
      ? weightsPacker.lease(model, lifetime)
      : weightsCache.acquire(readLayers(model));
  }
}
