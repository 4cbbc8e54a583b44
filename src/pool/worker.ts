// The file a worker thread runs: its own instance of the kernels over the shared memory, and the loop.
import { workerData } from 'node:worker_threads';
import { instantiateKernels } from '../wasm/load.ts';
import type { Mailbox } from './mailbox.ts';
import { serve } from './serve.ts';

export interface WorkerData {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly mailbox: Mailbox;
}

const { module, memory, mailbox } = workerData as WorkerData;
serve(mailbox, instantiateKernels(module, memory).run);
