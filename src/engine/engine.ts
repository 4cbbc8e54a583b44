// What a request means: read its tensors into a job, run it, check the result, hand it over.
//
//   h_t = tanh(h_{t-1} W_h + x_t W_x + b)
//
// A step is a sequence of one step: there is one path, so there is one behaviour.
import { CarryoverError } from '../errors.ts';
import type { ModelLease } from '../models/packed.ts';
import type { ModelLibrary } from '../models/library.ts';
import type { WeightsCache } from '../models/weights-cache.ts';
import type { Scheduler } from '../scheduler/scheduler.ts';
import type { TensorView, Weights } from '../tensor.ts';
import { Job, type Trace } from '../wasm/job.ts';
import type { LinearMemory } from '../wasm/memory.ts';
import {
  type Limits,
  type ModelSizes,
  type RecurrenceInput,
  type WeightsSource,
  agreeOnSizes,
  agreeOnWeights,
} from './shapes.ts';

/** Views into the job's memory: valid only until the function they are given to returns. */
export interface RecurrenceResult {
  /** (N, H), the state after each row's last step. */
  readonly h: TensorView;
  /** (T, N, H), 0 beyond a row's length; absent unless keepsStates. */
  readonly hs: TensorView | undefined;
  /** (N, O), the readout of h; absent if the model has none. */
  readonly y: TensorView | undefined;
  /** (T, N, O), the readouts of hs; absent with hs or y. */
  readonly ys: TensorView | undefined;
  /** Each (T, N, H); absent unless asked for. */
  readonly trace: Trace | undefined;
}

export interface EngineParts {
  readonly memory: LinearMemory;
  readonly weightsCache: WeightsCache;
  readonly library: ModelLibrary;
  readonly scheduler: Scheduler;
  readonly limits: Limits;
}

export class Engine {
  readonly #parts: EngineParts;

  constructor(parts: EngineParts) {
    this.#parts = parts;
  }

  /**
   * Advances a mini-batch by T steps and passes the result to `use`, whose value is returned.
   *
   * Bits: a row's result depends on its own x, h and the weights only; not on N, T, its neighbours,
   * or where the sequence was cut into calls.
   *
   * @throws model_not_found · shape_mismatch · out_of_range · limit_exceeded before anything is
   *   computed; memory_full · queue_full · deadline_exceeded · worker_failed; not_finite for a result that
   *   overflowed.
   */
  async run<Result>(
    input: RecurrenceInput,
    use: (result: RecurrenceResult) => Result,
  ): Promise<Result> {
    const { memory, scheduler, limits, library } = this.#parts;
    if (typeof input.weights === 'string') await library.ensure(input.weights);
    const { T, N, H } = agreeOnSizes(input, this.#sizesOf(input.weights), limits);
    const lease = this.#lease(input.weights);
    try {
      const { lengths, keepsStates, trace } = input;
      const job = new Job(memory, lease.model, { T, N, lengths, keepsStates, trace });
      try {
        input.x.copyTo(job.x);
        input.h?.copyTo(job.h);
        await scheduler.run(job);
        const h = { shape: [N, H], strides: [H, 1], data: job.finalState() };
        expectFinite(job, h);
        const { hs, y, ys, trace: products } = job;
        return use({ h, hs, y, ys, trace: products });
      } finally {
        job.release();
      }
    } finally {
      lease.release();
    }
  }

  #sizesOf(weights: WeightsSource | string): ModelSizes {
    if (typeof weights !== 'string') return agreeOnWeights(weights);
    const { D, H, readout } = this.#parts.library.registry.model(weights);
    return { D, H, O: readout?.O ?? 0, origin: `model ${JSON.stringify(weights)}` };
  }

  #lease(weights: WeightsSource | string): ModelLease {
    const { weightsCache, library } = this.#parts;
    if (typeof weights === 'string') return library.registry.lease(weights);
    return weightsCache.acquire(readWeights(weights));
  }
}

/** @throws out_of_range */
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

/**
 * A row whose sums overflowed to NaN (they can in float32, so in models that are not narrow) stays
 * NaN to its last step, as NaN · w is NaN for every w: the last state of each row tells about all of
 * them. An infinite z whose tanh is ±1 is a valid state, but it cannot be written in JSON, so a trace
 * is checked element by element.
 */
function expectFinite(job: Job, h: TensorView): void {
  expectFiniteView('h', h);
  for (const [name, view] of Object.entries(job.trace ?? {}) as [string, TensorView][]) {
    expectFiniteView(`trace/${name}`, view);
  }
  if (job.y) expectFiniteView('y', job.y);
  if (job.ys) expectFiniteView('ys', job.ys);
}

/** Element by element: what is behind the rows of a view is not part of it. */
function expectFiniteView(
  name: string,
  { shape, strides, data }: TensorView,
  place = '',
  start = 0,
): void {
  const [size, ...rest] = shape as [number, ...number[]];
  const [stride, ...restStrides] = strides as [number, ...number[]];
  if (rest.length > 0) {
    const inner = { shape: rest, strides: restStrides, data };
    for (let i = 0; i < size; i++) {
      expectFiniteView(name, inner, `${place}[${i}]`, start + i * stride);
    }
    return;
  }
  for (let i = 0; i < size; i++) {
    const value = data[start + i]!;
    if (Number.isFinite(value)) continue;
    throw notFinite(name, `${name.replace('/', '.')}${place}[${i}] is ${value}`);
  }
}

function notFinite(name: string, where: string): CarryoverError {
  const message = `${where}: the sums overflowed float32 (largest: 3.4028235e38).`;
  return new CarryoverError('not_finite', {
    detail: message,
    errors: [{ pointer: `/${name}`, message }],
  });
}
