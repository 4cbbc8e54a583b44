// What this machine can do, measured at every start in some fifty milliseconds: what a hand-over costs, how
// fast jobs of each kind are, and how fast memory is read that no cache holds. Machines differ by a
// factor of ten.
import { isAscii } from 'node:buffer';
import {
  type JobRunner,
  inlineFlopsMaxOf,
  measureDispatchMs,
  medianMs,
} from '../scheduler/calibrate.ts';
import type { MemorySpeed, Speeds } from '../scheduler/costs.ts';
import type { JobKind } from '../wasm/job-cost.ts';
import { Job, type JobShape } from '../wasm/job.ts';
import type { LinearMemory } from '../wasm/memory.ts';
import { panelsBytes } from '../wasm/panels.ts';

export interface Calibration {
  readonly handOverMs: number;
  /** Work up to this is better done on the calling thread. */
  readonly inlineFlopsMax: number;
  readonly speeds: Speeds;
}

interface Sample {
  readonly D: number;
  readonly H: number;
  readonly shape: JobShape;
}

const rows = (T: number, N: number) => ({ T, N, keepsStates: false, trace: false });
/** The call around it included: what decides whether work is handed over. */
const STEP: Sample = { D: 128, H: 128, shape: rows(1, 1) };
const EMPTY: Sample = { D: 128, H: 128, shape: { ...rows(1, 1), lengths: [0] } };
const KINDS: Record<JobKind, Sample> = {
  narrow: { D: 16, H: 32, shape: rows(32, 4) },
  'few rows': { D: 128, H: 128, shape: rows(32, 1) },
  rows: { D: 128, H: 128, shape: rows(8, 16) },
};
const STEPS = 25;
const ROUNDS = 5;

/** Weights up to this are taken to be in a cache of the thread's own. */
const CACHED_BYTES = 4 * 2 ** 20;
/** Within the last cache of most machines, and beyond it. */
const MEMORY_SIZES = [20 * 2 ** 20, 64 * 2 ** 20];
/** A process measures it once. */
let measuredSpeeds: readonly MemorySpeed[] | undefined;

/** @param memorySpeeds in place of what is measured */
export async function calibrate(
  memory: LinearMemory,
  workers: JobRunner,
  runInline: (job: number) => void,
  memorySpeeds = measuredMemory(),
): Promise<Calibration> {
  const handOverMs = await withJob(memory, EMPTY, ({ ptr }) => measureDispatchMs(workers, ptr));
  const speedOf = (sample: Sample, rounds: number) =>
    withJob(memory, sample, ({ ptr, flops }) => flops / medianMs(() => runInline(ptr), rounds));
  const flopsPerMs = speedOf(STEP, STEPS);
  const flopsPerMsOf: Record<JobKind, number> = {
    narrow: speedOf(KINDS.narrow, ROUNDS),
    'few rows': speedOf(KINDS['few rows'], ROUNDS),
    rows: speedOf(KINDS.rows, ROUNDS),
  };
  const speeds = { flopsPerMs, flopsPerMsOf, memory: memorySpeeds };
  return { handOverMs, inlineFlopsMax: inlineFlopsMaxOf(handOverMs, flopsPerMs), speeds };
}

/** Gives the job back when `use` has settled. */
function withJob<Result>(memory: LinearMemory, { D, H, shape }: Sample, use: (job: Job) => Result): Result {
  const bytes = panelsBytes(D, H);
  const panelsPtr = memory.allocate(bytes);
  memory.f32(panelsPtr, bytes / Float32Array.BYTES_PER_ELEMENT).fill(0);
  const job = new Job(memory, { D, H, panelsPtr }, shape);
  job.x.fill(0);
  const release = () => {
    job.release();
    memory.free(panelsPtr);
  };
  const result = use(job);
  if (result instanceof Promise) return result.finally(release) as Result;
  release();
  return result;
}

function measuredMemory(): readonly MemorySpeed[] {
  return (measuredSpeeds ??= measureMemory());
}

/**
 * A check of bytes that does hardly anything with them. The buffer is resizable because only such a one gives its
 * memory back at once, by resize(0); any other keeps it until the next full collection, 64 MiB of an idle process.
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
