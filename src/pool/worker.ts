// The entry of a worker thread: it makes an instance of the compiled kernels over the shared memory and serves jobs.
import { workerData } from 'node:worker_threads';
import { type CompiledKernels, instantiateKernels } from '../wasm/load.ts';
import type { Mailbox } from './mailbox.ts';
import { serve } from './serve.ts';

/** What a worker thread is started with. */
export interface WorkerData {
  readonly kernels: CompiledKernels;
  readonly memory: WebAssembly.Memory;
  readonly mailbox: Mailbox;
}

const { kernels, memory, mailbox } = workerData as WorkerData;
serve(mailbox, instantiateKernels(kernels, memory).run);
