// Measures one cell after the other; within a cell the implementations alternate, round by round.
import type { OnnxRuntimePeer } from '../peers/onnxruntime.ts';
import type { Sgemm } from '../peers/sgemm.ts';
import { startProgress } from '../report/progress.ts';
import { type Sizes, makeSequenceCase } from '../cases/sequence-case.ts';
import { type Implementation, type Host, prepareImplementations, startHost } from './implementations.ts';

/** Long enough for V8 to replace its baseline code of the kernels by the optimised code. */
const WARM_UP_SECONDS = 0.2;

export interface Measurement {
  readonly cells: readonly Sizes[];
  readonly rounds: number;
  /** Least length of a sample. */
  readonly seconds: number;
  readonly onnxRuntime: OnnxRuntimePeer;
  readonly sgemm: Sgemm | undefined;
}

/** Lists have one element for each round; times are those of one run of the whole sequence. */
export interface CellResult {
  readonly sizes: Sizes;
  readonly oursUs: readonly number[];
  readonly peerUs: readonly number[];
  /** GFLOP/s of sgemm in the same round; empty without numpy. */
  readonly sgemmGflops: readonly number[];
}

export async function measureCells(measurement: Measurement): Promise<CellResult[]> {
  const { cells } = measurement;
  const progress = startProgress('measuring', cells.length);
  const host = startHost();
  const results: CellResult[] = [];
  try {
    for (const sizes of cells) {
      results.push(await measureCell(measurement, host, sizes));
      progress.update(results.length);
    }
  } finally {
    progress.stop();
  }
  return results;
}

async function measureCell(
  { rounds, seconds, onnxRuntime, sgemm }: Measurement,
  host: Host,
  sizes: Sizes,
): Promise<CellResult> {
  const { ours, peer, release } = await prepareImplementations(host, onnxRuntime, makeSequenceCase(sizes));
  const oursUs: number[] = [];
  const peerUs: number[] = [];
  const sgemmGflops: number[] = [];
  const oursCount = await warmUp(ours, seconds);
  const peerCount = await warmUp(peer, seconds);
  for (let round = 0; round < rounds; round++) {
    oursUs.push(await sampleUs(ours, oursCount));
    peerUs.push(await sampleUs(peer, peerCount));
    if (sgemm) sgemmGflops.push(await sgemm.sample());
  }
  await release();
  return { sizes, oursUs, peerUs, sgemmGflops };
}

/** Runs for WARM_UP_SECONDS. @returns the number of runs that take `seconds` */
async function warmUp({ repeat }: Implementation, seconds: number): Promise<number> {
  for (let count = 1; ; count *= 2) {
    const startMs = performance.now();
    await repeat(count);
    const took = (performance.now() - startMs) / 1000;
    if (took >= WARM_UP_SECONDS) return Math.ceil((count * seconds) / took);
  }
}

/** Mean time of a run. The first run is not timed: it refills the caches after the other implementation. */
async function sampleUs({ repeat }: Implementation, count: number): Promise<number> {
  await repeat(1);
  const startMs = performance.now();
  await repeat(count);
  return ((performance.now() - startMs) * 1000) / count;
}
