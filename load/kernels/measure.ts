// One cell after the other; within a cell the contenders alternate, round by round.
import type { OnnxRuntimePeer } from '../peers/onnxruntime.ts';
import type { Sgemm } from '../peers/sgemm.ts';
import { startProgress } from '../progress.ts';
import { type Sizes, makeSequenceCase } from '../sequence-case.ts';
import { type Contender, type Host, makeContenders, startHost } from './contenders.ts';

/** Long enough for V8 to have replaced the baseline code by the optimised one. */
const WARM_UP_SECONDS = 0.2;

export interface Measurement {
  readonly cells: readonly Sizes[];
  readonly rounds: number;
  /** Least length of a sample. */
  readonly seconds: number;
  readonly onnxRuntime: OnnxRuntimePeer;
  readonly sgemm: Sgemm | undefined;
}

/** One list element a round; times are those of one run of the whole sequence. */
export interface CellResult {
  readonly sizes: Sizes;
  readonly oursUs: readonly number[];
  readonly peerUs: readonly number[];
  /** GFLOP/s of the practical peak in the same round; empty if it is not known. */
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
  const { ours, peer, release } = await makeContenders(host, onnxRuntime, makeSequenceCase(sizes));
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

/** How many runs last for `seconds`. */
async function warmUp({ repeat }: Contender, seconds: number): Promise<number> {
  for (let count = 1; ; count *= 2) {
    const startMs = performance.now();
    await repeat(count);
    const took = (performance.now() - startMs) / 1000;
    if (took >= WARM_UP_SECONDS) return Math.ceil((count * seconds) / took);
  }
}

/** Mean time of a run. The first is not timed: it refills the caches after the other contender. */
async function sampleUs({ repeat }: Contender, count: number): Promise<number> {
  await repeat(1);
  const startMs = performance.now();
  await repeat(count);
  return ((performance.now() - startMs) * 1000) / count;
}
