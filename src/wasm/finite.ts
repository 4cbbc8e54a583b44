// Checks that all numbers are finite: by the kernels if the numbers are in linear memory, else by a loop.
import { areFinite } from '../tensor.ts';
import type { Kernels } from './load.ts';
import type { LinearMemory } from './memory.ts';

/** @returns a function that returns whether all numbers are finite */
export function finiteCheck(memory: LinearMemory, kernels: Kernels) {
  return (numbers: Float32Array): boolean =>
    memory.holds(numbers)
      ? kernels.areFinite(numbers.byteOffset, numbers.length) !== 0
      : areFinite(numbers);
}
