// Measures recurrent layers, one point after the other: our kernels, the peer, and sgemm as the peak of the core.
import { makeSequenceCase } from '../cases/sequence-case.ts';
import type { OnnxRuntimePeer } from '../peers/onnxruntime.ts';
import type { Sgemm } from '../peers/sgemm.ts';
import { startProgress } from '../report/progress.ts';
import type { Point } from './cells.ts';
import { type Host, startHost } from './host.ts';
import { prepareImplementations } from './implementations.ts';
import { type Sampling, sampleInTurn } from './samples.ts';

export interface Measurement extends Sampling {
  readonly points: readonly Point[];
  readonly onnxRuntime: OnnxRuntimePeer;
  readonly sgemm: Sgemm | undefined;
}

/** Lists have one element for each round; times are those of one run of the whole sequence. */
export interface PointResult {
  readonly point: Point;
  readonly oursUs: readonly number[];
  readonly peerUs: readonly number[];
  /** GFLOP/s of sgemm in the same round; empty without numpy. */
  readonly sgemmGflops: readonly number[];
}

export async function measurePoints(measurement: Measurement): Promise<PointResult[]> {
  const { points } = measurement;
  const progress = await startProgress('measuring', points.length);
  const host = startHost();
  const results: PointResult[] = [];
  try {
    for (const point of points) {
      results.push(await measurePoint(measurement, host, point));
      progress.update(results.length);
    }
  } finally {
    progress.stop();
  }
  return results;
}

async function measurePoint(measurement: Measurement, host: Host, point: Point): Promise<PointResult> {
  const { onnxRuntime, sgemm } = measurement;
  const sequence = makeSequenceCase(point, point.cell);
  const { ours, peer, release } = await prepareImplementations(host, onnxRuntime, sequence);
  const sgemmGflops: number[] = [];
  const samples = await sampleInTurn({ ours, peer }, measurement, async () => {
    if (sgemm) sgemmGflops.push(await sgemm.sample());
  });
  await release();
  return { point, oursUs: samples.ours, peerUs: samples.peer, sgemmGflops };
}
