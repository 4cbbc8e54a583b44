// The machine that figures were measured on.
import { availableParallelism, cpus } from 'node:os';
import { readConfig } from '../../src/config.ts';
import { compileKernels } from '../../src/wasm/load.ts';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly node: string;
  /** The vectors that the kernels run with, e.g. `simd256`. */
  readonly kernel: string;
}

export function machineInfo(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown processor',
    cores: availableParallelism(),
    node: process.version,
    kernel: compileKernels(readConfig().KERNEL).path,
  };
}

export function describeMachine({ cpu, cores, node, kernel }: Machine): string {
  return `${cpu}, ${cores} ${cores === 1 ? 'core' : 'cores'} · Node ${node} · ${kernel}`;
}
