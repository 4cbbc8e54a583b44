// The kernels on this thread, without pool and scheduler.
import { readConfig } from '../../src/config.ts';
import { type KernelPath, type Kernels, compileKernels, instantiateKernels } from '../../src/wasm/load.ts';
import { LinearMemory } from '../../src/wasm/memory.ts';

const MEMORY_BYTES = 1024 ** 3;

/** One linear memory and one instance of the kernels for all that is measured, as the service has them. */
export interface Host {
  readonly memory: LinearMemory;
  readonly kernels: Kernels;
  readonly path: KernelPath;
}

export function startHost(): Host {
  const memory = new LinearMemory(MEMORY_BYTES);
  const compiled = compileKernels(readConfig().KERNEL);
  return { memory, kernels: instantiateKernels(compiled, memory.memory), path: compiled.path };
}
