// The worker thread of the postMessage column: it receives a job's address and posts it back when the job is done.
import { parentPort, workerData } from 'node:worker_threads';
import { instantiateKernels } from '../../src/wasm/load.ts';

const { run } = instantiateKernels(workerData.kernels, workerData.memory);
const port = parentPort!;

port.on('message', (job: number) => {
  run(job);
  port.postMessage(job);
});
