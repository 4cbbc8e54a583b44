// The worker thread of the piscina column: one call runs one job.
import { workerData } from 'node:worker_threads';
import { instantiateKernels } from '../../src/wasm/load.ts';

const { run } = instantiateKernels(workerData.kernels, workerData.memory);

export default function runJob(job: number): void {
  run(job);
}
