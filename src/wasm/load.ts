// Loads the compiled kernels. The module is compiled once, on the main thread; each worker makes its
// own instance of it over the same shared memory.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The functions of src/kernels/index.ts. Pointers are byte addresses in the shared memory. */
export interface Kernels {
  /** Runs the job whose record (kernels/layout.ts) is at `job`; returns when its last step is done. */
  readonly run: (job: number) => void;
  /** tanh of `count` float32 (a multiple of 4) from `source` to `target`. */
  readonly tanh: (source: number, target: number, count: number) => void;
}

export function compileKernels(): WebAssembly.Module {
  const file = join(import.meta.dirname, '../kernels/build/kernels.wasm');
  return new WebAssembly.Module(readFileSync(file));
}

export function instantiateKernels(module: WebAssembly.Module, memory: WebAssembly.Memory): Kernels {
  const instance = new WebAssembly.Instance(module, { env: { memory } });
  return instance.exports as unknown as Kernels;
}
