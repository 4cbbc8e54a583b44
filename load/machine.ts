// What a figure is worth nothing without.
import { availableParallelism, cpus } from 'node:os';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly node: string;
  /** Of this process, as they were given on its command line. */
  readonly v8Flags: readonly string[];
}

export function machineFacts(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? 'unknown processor',
    cores: availableParallelism(),
    node: process.version,
    v8Flags: process.execArgv,
  };
}

export function describeMachine({ cpu, cores, node, v8Flags }: Machine): string {
  const flags = v8Flags.length > 0 ? v8Flags.join(' ') : 'no V8 flags';
  return `${cpu}, ${cores} ${cores === 1 ? 'core' : 'cores'} · Node ${node} · ${flags}`;
}
