// The thread side of the postMessage column: a job's address comes in, the same goes back.
import { parentPort, workerData } from 'node:worker_threads';
import { instantiateKernels } from '../../src/wasm/load.ts';

const { run } = instantiateKernels(workerData.kernels, workerData.memory);
const port = parentPort!;

port.on('message', (job: number) => {
  run(job);
  port.postMessage(job);
});
