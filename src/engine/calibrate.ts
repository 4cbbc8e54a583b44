// Measures the machine at every start, in some fifty milliseconds: how long dispatching a job to a worker takes,
// how fast jobs of each kind run, and how fast memory is read that is in no cache. Machines differ by a factor
// of ten.
import { isAscii } from 'node:buffer';
import {
  type JobRunner,
  inlineFlopsMaxOf,
  measureDispatchMs,
  medianMs,
} from '../scheduler/calibrate.ts';
import type { MemorySpeed, Speeds } from '../scheduler/costs.ts';
import { tanhLayers } from '../layers.ts';
import type { JobKind } from '../wasm/job-cost.ts';
import { Job, type JobShape } from '../wasm/job.ts';
import type { LinearMemory } from '../wasm/memory.ts';
import { type PackedModel, placeModel } from '../wasm/packed-model.ts';

export interface Calibration {
  /** From dispatching an empty job to a worker until its end. */
  readonly dispatchMs: number;
  /** Up to this a job is sooner done on the calling thread than dispatched. */
  readonly inlineFlopsMax: number;
  readonly speeds: Speeds;
}

interface Sample {
  readonly D: number;
  readonly H: number;
  readonly shape: JobShape;
}

const rows = (T: number, N: number) => ({ T, N, keepsStates: false, trace: false });
/** With the call around the kernel, as that decides too whether a job is worth dispatching. */
const STEP: Sample = { D: 128, H: 128, shape: rows(1, 1) };
const EMPTY: Sample = { D: 128, H: 128, shape: { ...rows(1, 1), lengths: [0] } };
const KINDS: Record<JobKind, Sample> = {
  narrow: { D: 16, H: 32, shape: rows(32, 4) },
  'few rows': { D: 128, H: 128, shape: rows(32, 1) },
  rows: { D: 128, H: 128, shape: rows(8, 16) },
};
const STEPS = 25;
const ROUNDS = 5;

/** Weights up to this are assumed to be in the core's own cache. */
const CACHED_BYTES = 4 * 2 ** 20;
/** Within the last cache of most machines, and beyond it. */
const MEMORY_SIZES = [20 * 2 ** 20, 40 * 2 ** 20];
/** Measured once in a process. */
let measuredSpeeds: readonly MemorySpeed[] | undefined;

/** What is not to be measured. */
export interface KnownSpeeds {
  readonly dispatchMs?: number | undefined;
  readonly memorySpeeds?: readonly MemorySpeed[];
}

export async function calibrate(
  memory: LinearMemory,
  workers: JobRunner,
  runInline: (job: number) => void,
  known: KnownSpeeds = {},
): Promise<Calibration> {
  const { memorySpeeds = measuredMemory() } = known;
  const dispatchMs = known.dispatchMs ?? (await measureDispatch(memory, workers));
  const speedOf = (sample: Sample, rounds: number) => {
    using job = new SampleJob(memory, sample);
    return job.flops / medianMs(() => runInline(job.ptr), rounds);
  };
  const flopsPerMs = speedOf(STEP, STEPS);
  const flopsPerMsOf: Record<JobKind, number> = {
    narrow: speedOf(KINDS.narrow, ROUNDS),
    'few rows': speedOf(KINDS['few rows'], ROUNDS),
    rows: speedOf(KINDS.rows, ROUNDS),
  };
  const speeds = { flopsPerMs, flopsPerMsOf, memory: memorySpeeds };
  return { dispatchMs, inlineFlopsMax: inlineFlopsMaxOf(dispatchMs, flopsPerMs), speeds };
}

async function measureDispatch(memory: LinearMemory, workers: JobRunner): Promise<number> {
  using empty = new SampleJob(memory, EMPTY);
  return await measureDispatchMs(workers, empty.ptr);
}

/** A job on a model of zeros. */
class SampleJob implements Disposable {
  readonly #memory: LinearMemory;
  readonly #model: PackedModel;
  readonly #job: Job;

  constructor(memory: LinearMemory, { D, H, shape }: Sample) {
    const zeros = (count: number) => new Float32Array(count);
    const layers = tanhLayers({ D, H, W_x: zeros(D * H), W_h: zeros(H * H), b: zeros(H) });
    this.#memory = memory;
    this.#model = placeModel(memory, layers);
    this.#job = new Job(memory, this.#model, shape);
    this.#job.x.fill(0);
  }

  get ptr(): number {
    return this.#job.ptr;
  }

  get flops(): number {
    return this.#job.flops;
  }

  [Symbol.dispose](): void {
    this.#job.release();
    this.#memory.free(this.#model.ptr);
  }
}

function measuredMemory(): readonly MemorySpeed[] {
  return (measuredSpeeds ??= measureMemory());
}

/**
 * The speed of isAscii(), which hardly does more than read. The buffer is resizable because resize(0) gives its
 * memory back at once; that of any other stays until the next full collection, 40 MiB of an idle process. A larger
 * one would tell as much; filling it the first time, page by page, is most of what this takes.
 */
function measureMemory(): MemorySpeed[] {
  const bytesMax = MEMORY_SIZES.at(-1)!;
  const buffer = new ArrayBuffer(bytesMax, { maxByteLength: bytesMax });
  const bytes = Buffer.from(buffer).fill(1);
  const measured = MEMORY_SIZES.map((size, i) => {
    const part = bytes.subarray(0, size);
    const isLargest = i === MEMORY_SIZES.length - 1;
    const bytesPerMs = size / medianMs(() => isAscii(part), ROUNDS);
    return { bytesMax: isLargest ? Infinity : size, bytesPerMs };
  });
  buffer.resize(0);
  return [{ bytesMax: CACHED_BYTES, bytesPerMs: Infinity }, ...measured];
}
