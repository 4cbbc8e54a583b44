// Random jobs through pool and scheduler: random stacks of all kinds of layers, random shapes and lengths, any number
// of them in flight, on this thread, on one worker or split over several, among neighbours full of NaN and huge
// values. Every row must have exactly the bits of the plain reference. Runs without a test runner, too:
// `node test/properties/random-jobs.ts [count]`.
import { pathToFileURL } from 'node:url';
import { type Layer, isRecurrent } from '../../src/layers.ts';
import { Pool } from '../../src/pool/pool.ts';
import { Scheduler } from '../../src/scheduler/scheduler.ts';
import type { Job } from '../../src/wasm/job.ts';
import { isNarrow } from '../../src/wasm/panels.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { type ReferenceInput, referenceModel } from '../../src/wasm/reference/model.ts';
import { type LayersOutput, compiledKernels, kernels, memory, placeLayers } from '../helpers/kernels.ts';
import { lifetimeOf } from '../helpers/lifetime.ts';
import { differenceOfRows } from '../helpers/same-bits.ts';
import { randomStack } from '../helpers/stacks.ts';

const IN_FLIGHT = 3;
const POISON = [NaN, 3e38, -3e38, Infinity];
/** The most inputs and units of a large layer. Half of the large ones are wide. */
const LARGE_SIZE = 100;

export interface RandomJobsResult {
  readonly jobs: number;
  /** Those compared, of all jobs. */
  readonly rows: number;
  readonly wrongRows: number;
  /** How many jobs ran inline, and how many were split over workers. */
  readonly inline: number;
  readonly split: number;
  /** How many jobs had a cell whose sums are in float32, by its type. */
  readonly wide: Readonly<Record<'rnn' | 'gru' | 'lstm', number>>;
}

/** @param count how many jobs · @param seed of shapes, values and schedule */
export async function runRandomJobs(count: number, seed: number): Promise<RandomJobsResult> {
  const random = pseudoRandom(seed);
  const pick = (max: number) => 1 + Math.floor(((random() + 1) / 2) * max);
  const result = { jobs: 0, rows: 0, wrongRows: 0, inline: 0, split: 0, wide: { rnn: 0, gru: 0, lstm: 0 } };

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
    sharedRowsMax: 64,
    runInline: (job) => {
      runsInline++;
      kernels.run(job);
    },
  });
  await pool.start();

  const runOne = async (index: number): Promise<void> => {
    // Narrow layers and wide ones, small jobs and jobs worth splitting.
    const isLarge = pick(12) === 1;
    const shape = isLarge
      ? { depth: 1, size: LARGE_SIZE, T: pick(3), N: pick(9) }
      : { depth: pick(4), size: pick(24), T: pick(4), N: pick(24) };
    const { layers, input } = randomStack(shape, seed + index);
    const isClean = Array.from({ length: input.N }, () => pick(3) > 1);
    // One of these decides where it runs: inline, on one worker, or split over several.
    scheduler.inlineFlopsMax = [0, 1, 20_000][pick(3) - 1]!;

    const { job, output, release } = placeLayers(layers, input);
    poison(job, input, isClean);
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
    for (const type of wideCells(layers)) result.wide[type]++;
    const rows = [...isClean.keys()].filter((n) => isClean[n]);
    result.rows += rows.length;
    result.wrongRows += wrongRows(output(), layers, input, rows);
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

/** Fills the inputs and the states of all other rows with numbers that would show in a clean one. */
function poison(job: Job, { T, N, x }: ReferenceInput, isClean: readonly boolean[]): void {
  const fill = (numbers: Float32Array, steps: number) => {
    const columns = numbers.length / steps / N;
    for (let i = 0; i < numbers.length; i++) {
      if (!isClean[Math.floor(i / columns) % N]) numbers[i] = POISON[i % POISON.length]!;
    }
  };
  // There is no bad token id: the host refuses one before it makes a job.
  if (x instanceof Float32Array) fill(job.x, T);
  for (const { h, c } of job.states) {
    fill(h, 1);
    if (c) fill(c, 1);
  }
}

/** How many of the clean rows differ from the reference, which computes no other one. */
function wrongRows(
  output: LayersOutput,
  layers: readonly Layer[],
  input: ReferenceInput,
  rows: readonly number[],
): number {
  const { T, N, lengths } = input;
  const cleanLengths = Array.from({ length: N }, (_, n) => (rows.includes(n) ? (lengths?.[n] ?? T) : 0));
  const expected = referenceModel(layers, { ...input, lengths: cleanLengths });
  if (differenceOfRows(output, expected, input, rows) === undefined) return 0;
  return rows.filter((n) => differenceOfRows(output, expected, input, [n]) !== undefined).length;
}

/** The types of the cells whose D + H is beyond that of narrow layers. */
function wideCells(layers: readonly Layer[]): Set<'rnn' | 'gru' | 'lstm'> {
  const wide = layers.filter((layer) => isRecurrent(layer)).filter(({ D, H }) => !isNarrow(D + H));
  return new Set(wide.map(({ type }) => type));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const result = await runRandomJobs(Number(process.argv[2] ?? 10_000), 2026);
  console.log(process.version, compiledKernels.path, JSON.stringify(result));
  process.exitCode = result.wrongRows === 0 && result.inline > 0 && result.split > 0 ? 0 : 1;
}
