// The file a worker thread runs: its own instance of the kernels over the shared memory, and the loop.
import { workerData } from 'node:worker_threads';
import { type CompiledKernels, instantiateKernels } from '../wasm/load.ts';
import type { Mailbox } from './mailbox.ts';
import { serve } from './serve.ts';

export interface WorkerData {
  readonly kernels: CompiledKernels;
  readonly memory: WebAssembly.Memory;
  readonly mailbox: Mailbox;
}

const { kernels, memory, mailbox } = workerData as WorkerData;
serve(mailbox, instantiateKernels(kernels, memory).run);
