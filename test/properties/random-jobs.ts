// Random jobs through pool and scheduler: random shapes and lengths, any number of them in flight, on
// this thread, on one worker or split over several, among neighbours full of NaN and huge values.
// Every row must have exactly the bits of the scalar reference. Runs without a test runner, too:
// `node test/properties/random-jobs.ts [count]`.
import { pathToFileURL } from 'node:url';
import { tanhLayers } from '../../src/layers.ts';
import { Pool } from '../../src/pool/pool.ts';
import { Scheduler } from '../../src/scheduler/scheduler.ts';
import { Job } from '../../src/wasm/job.ts';
import { placeModel } from '../../src/wasm/packed-model.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { compiledKernels, kernels, memory } from '../helpers/kernels.ts';
import { lifetimeOf } from '../helpers/lifetime.ts';
import { type Recurrence, randomRecurrence, referenceStates } from '../helpers/recurrence.ts';

const IN_FLIGHT = 3;
const POISON = [NaN, 3e38, -3e38, Infinity];

export interface RandomJobsResult {
  readonly jobs: number;
  readonly rows: number;
  readonly wrongRows: number;
  /** How many jobs ran inline, and how many were split over workers. */
  readonly inline: number;
  readonly split: number;
}

/** @param count how many jobs · @param seed of shapes, values and schedule */
export async function runRandomJobs(count: number, seed: number): Promise<RandomJobsResult> {
  const random = pseudoRandom(seed);
  const pick = (max: number) => 1 + Math.floor(((random() + 1) / 2) * max);
  const result = { jobs: 0, rows: 0, wrongRows: 0, inline: 0, split: 0 };

  let runsInline = 0;
  const pool = new Pool({
    workers: 3,
    kernels: compiledKernels,
    memory: memory.memory,
    hangMsMin: 60_000,
    onIdle: () => scheduler.dispatch(),
    onLost: (reason) => {
      throw reason;
    },
  });
  const scheduler = new Scheduler(pool, {
    queueJobsMax: IN_FLIGHT * 3,
    runInline: (job) => {
      runsInline++;
      kernels.run(job);
    },
  });
  await pool.start();

  const runOne = async (index: number): Promise<void> => {
    // Narrow models and wide ones, small jobs and jobs worth splitting.
    const max = pick(10) === 1 ? 150 : 50;
    const input = randomRecurrence(
      { T: pick(4), N: pick(24), D: pick(max), H: pick(max) },
      seed + index,
    );
    const clean = Array.from({ length: input.N }, () => pick(3) > 1);
    const lengths = pick(3) === 1 ? clean.map(() => pick(input.T + 1) - 1) : undefined;
    // One of these decides where it runs: inline, on one worker, or split over several.
    scheduler.inlineFlopsMax = [0, 1, 20_000][pick(3) - 1]!;

    const { model, job, release } = placeJob(input, clean, lengths);
    const before = runsInline;
    const split = job.split.bind(job);
    job.split = (parts) => {
      const records = split(parts);
      if (records.length > 1) result.split++;
      return records;
    };
    await scheduler.run(job, lifetimeOf());
    if (runsInline > before) result.inline++;
    result.jobs++;
    const wrong = wrongRows(job, { ...input, weights: model }, clean, lengths);
    result.rows += clean.filter(Boolean).length;
    result.wrongRows += wrong;
    release();
  };

  let next = 0;
  const worker = async () => {
    while (next < count) await runOne(next++);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
  await pool.close();
  return result;
}

function placeJob(input: Recurrence, clean: readonly boolean[], lengths?: readonly number[]) {
  const { T, N, weights, x, h } = input;
  const { D, H } = weights;
  const model = placeModel(memory, tanhLayers(weights));
  const job = new Job(memory, model, { T, N, lengths, keepsStates: true, trace: false });
  job.x.set(x);
  const before = job.states[0]!.h;
  before.set(h);
  for (let i = 0; i < job.x.length; i++) {
    if (!clean[Math.floor(i / D) % N]) job.x[i] = POISON[i % POISON.length]!;
  }
  for (let i = 0; i < before.length; i++) {
    if (!clean[Math.floor(i / H)]) before[i] = POISON[i % POISON.length]!;
  }
  const release = () => {
    job.release();
    memory.free(model.ptr);
  };
  return { model: weights, job, release };
}

function wrongRows(
  job: Job,
  input: Recurrence,
  clean: readonly boolean[],
  lengths?: readonly number[],
): number {
  const { T, N, weights } = input;
  const { H } = weights;
  const expected = referenceStates(input, lengths);
  const { data, strides } = job.hs!;
  let wrong = 0;
  for (let n = 0; n < N; n++) {
    if (!clean[n]) continue;
    let same = true;
    for (let t = 0; t < T; t++) {
      for (let j = 0; j < H; j++) {
        const got = data[t * strides[0]! + n * strides[1]! + j]!;
        same &&= Object.is(got, expected[(t * N + n) * H + j]!);
      }
    }
    if (!same) wrong++;
  }
  return wrong;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const result = await runRandomJobs(Number(process.argv[2] ?? 10_000), 2026);
  console.log(process.version, compiledKernels.path, JSON.stringify(result));
  process.exitCode = result.wrongRows === 0 && result.inline > 0 && result.split > 0 ? 0 : 1;
}
