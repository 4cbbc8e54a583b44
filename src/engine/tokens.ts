// Row numbers of an embedding: x as integers 0 … V-1. They come as the numbers of any tensor, and become the u32 of a
// job. The kernels make addresses of them, so each is checked.
import { setImmediate as nextIteration } from 'node:timers/promises';
import { shortest } from '../codec/float32.ts';
import { CarryoverError } from '../errors.ts';
import type { TensorSource } from '../tensor.ts';

/** Numbers checked in about a millisecond. */
const SLICE_NUMBERS = 262_144;

/**
 * Makes row numbers of numbers, in the same words.
 *
 * @param x what the numbers were copied from, for errors
 * @param numbers with time outermost
 * @returns a promise if there are so many that the event loop must run in between
 * @throws out_of_range
 */
export function toTokens(
  x: TensorSource,
  numbers: Float32Array,
  ids: Uint32Array,
  V: number,
): Promise<void> | undefined {
  if (numbers.length > SLICE_NUMBERS) return toTokensInSlices(x, numbers, ids, V);
  convert(x, numbers, ids, V, [0, numbers.length]);
  return undefined;
}

async function toTokensInSlices(x: TensorSource, numbers: Float32Array, ids: Uint32Array, V: number): Promise<void> {
  for (let at = 0; at < numbers.length; at += SLICE_NUMBERS) {
    if (at > 0) await nextIteration();
    convert(x, numbers, ids, V, [at, Math.min(numbers.length, at + SLICE_NUMBERS)]);
  }
}

function convert(
  x: TensorSource,
  numbers: Float32Array,
  ids: Uint32Array,
  V: number,
  [start, end]: readonly [number, number],
): void {
  for (let i = start; i < end; i++) {
    const number = numbers[i]!;
    if (!(number >= 0 && number < V && Number.isInteger(number))) throw notAToken(x, i, number, V);
    ids[i] = number;
  }
}

function notAToken({ name, axes, shape }: TensorSource, index: number, number: number, V: number): CarryoverError {
  const N = shape[axes.indexOf('N')]!;
  const [t, n] = [Math.floor(index / N), index % N];
  const pointer = axes === 'N' ? `/${name}/${n}` : axes === 'NT' ? `/${name}/${n}/${t}` : `/${name}/${t}/${n}`;
  const message =
    `${pointer} is ${shortest(number)}, expected an integer 0 … ${V - 1}: a row number of E (V, D) with V = ${V}, ` +
    'because layers[0] is an embedding.';
  return new CarryoverError('out_of_range', { detail: message, errors: [{ pointer, message }] });
}
