// Tensors that were moved out of a JSON body (kernels/read.ts). In the parsed body an array of as many
// axes stands for each of them, holding its first number and its index: [[0.5, 0]]. What it stands for
// is kept beside it, so that the body can be validated, and passed on, like any other.
import { CarryoverError } from '../errors.ts';

/** The fields whose arrays are tensors, wherever they are. */
export const TENSOR_NAMES: readonly string[] = ['x', 'h', 'W_x', 'W_h', 'b', 'W_y', 'b_y'];

export interface MovedTensor {
  readonly shape: readonly number[];
  /** Row-major, all finite; undefined once the memory behind them was given back. */
  readonly numbers: () => Float32Array | undefined;
}

const tensors = new WeakMap<object, MovedTensor>();

/**
 * Makes the arrays of a parsed body stand for the tensors.
 *
 * @param body a value that readJson() has read from a skeleton
 */
export function placeTensors(body: unknown, moved: readonly MovedTensor[]): void {
  const pending = [body];
  while (pending.length > 0) {
    const next = pending.pop();
    if (typeof next !== 'object' || next === null) continue;
    for (const [key, value] of Object.entries(next)) {
      if (Array.isArray(value) && !Array.isArray(next) && TENSOR_NAMES.includes(key)) {
        placeTensor(value, moved);
      } else if (typeof value === 'object') {
        pending.push(value);
      }
    }
  }
}

/** Inner arrays stand for their part's shape, which is all that anyone asks of them. */
function placeTensor(array: readonly unknown[], moved: readonly MovedTensor[]): void {
  const axes: (readonly unknown[])[] = [array];
  while (Array.isArray(axes.at(-1)![0])) axes.push(axes.at(-1)![0] as unknown[]);
  const { shape, numbers } = moved[axes.at(-1)![1] as number]!;
  axes.forEach((inner, axis) => tensors.set(inner, { shape: shape.slice(axis), numbers }));
}

/** The tensor for which an array stands, if it does. */
export function movedTensor(array: object): MovedTensor | undefined {
  return tensors.get(array);
}

/** The length of an array, or of the one for which it stands. */
export function lengthOf(array: readonly unknown[]): number {
  return movedTensor(array)?.shape[0] ?? array.length;
}

/** @throws invalid_request if the request has ended meanwhile */
export function numbersOf({ numbers }: MovedTensor): Float32Array {
  const present = numbers();
  if (present) return present;
  throw new CarryoverError('client_closed', {
    detail: 'The client closed the connection before the request was computed.',
  });
}
