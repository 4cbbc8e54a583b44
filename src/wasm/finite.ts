// Are all numbers finite? By the kernels where they can look, by a loop elsewhere.
import { areFinite } from '../tensor.ts';
import type { Kernels } from './load.ts';
import type { LinearMemory } from './memory.ts';

export function finiteCheck(memory: LinearMemory, kernels: Kernels) {
  return (numbers: Float32Array): boolean =>
    memory.holds(numbers)
      ? kernels.areFinite(numbers.byteOffset, numbers.length) !== 0
      : areFinite(numbers);
}
