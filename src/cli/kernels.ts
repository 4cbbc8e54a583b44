// The kernels in the process of a command.
import { type KernelPath, type Kernels, compileKernels, instantiateKernels } from '../wasm/load.ts';
import { LinearMemory } from '../wasm/memory.ts';

export interface OpenKernels {
  readonly kernels: Kernels;
  readonly memory: LinearMemory;
  readonly path: KernelPath;
}

/** Addresses only: the memory grows with what is put into it. */
const MEMORY_BYTES_MAX = 4_095 * 2 ** 20;

let open: OpenKernels | undefined;

/** An instance with a memory of its own, made once. The kernels must be built. */
export function openKernels(): OpenKernels {
  if (open) return open;
  const compiled = compileKernels();
  const memory = new LinearMemory(MEMORY_BYTES_MAX);
  open = { kernels: instantiateKernels(compiled, memory.memory), memory, path: compiled.path };
  return open;
}
