// Tensors that were moved out of a JSON body (kernels/read.ts). In the parsed body an array of as many
// axes stands for each of them, holding its first number and its index: [[0.5, 0]]. What it stands for
// is noted on it, so that the body can be validated, and passed on, like any other.
import { clientClosed } from '../../errors.ts';
import { visitMembers } from './visit-members.ts';

/** The fields whose arrays are tensors, wherever they are. */
export const TENSOR_NAMES: readonly string[] = ['x', 'h', 'W_x', 'W_h', 'b', 'W_y', 'b_y'];

export interface PlaceholderTensor {
  readonly shape: readonly number[];
  /** Row-major, all finite; undefined once the memory behind them was given back. */
  numbers(): Float32Array | undefined;
}

/** A WeakMap from arrays to tensors would cost twice the rest of reading a small body. */
const MOVED = Symbol('the tensor for which an array stands');

type Placeholder = readonly unknown[] & { [MOVED]?: PlaceholderTensor };

/**
 * Makes the arrays of a parsed body stand for the tensors.
 *
 * @param body the value of a skeleton
 * @returns how many keys its objects have
 */
export function bindPlaceholders(body: unknown, tensors: readonly PlaceholderTensor[]): number {
  let keys = 0;
  visitMembers(body, (name, member) => {
    keys++;
    const isTensor = Array.isArray(member) && TENSOR_NAMES.includes(name);
    if (isTensor) placeTensor(member, tensors);
    return !isTensor;
  });
  return keys;
}

/** Every axis knows the tensor, as errors may be about a row of it. */
function placeTensor(array: Placeholder, tensors: readonly PlaceholderTensor[]): void {
  let innermost = array;
  while (Array.isArray(innermost[0])) innermost = innermost[0];
  const tensor = tensors[innermost[1] as number]!;
  for (let axis = array; axis !== innermost; axis = axis[0] as Placeholder) axis[MOVED] = tensor;
  innermost[MOVED] = tensor;
}

/** The tensor for which an array stands, or of which it is a part. */
export function tensorOf(array: object): PlaceholderTensor | undefined {
  return (array as Placeholder)[MOVED];
}

/** The length of an array, or of the one for which it stands. */
export function lengthOf(array: readonly unknown[]): number {
  const moved = tensorOf(array);
  if (!moved) return array.length;
  let axes = 1;
  for (let inner = array[0]; Array.isArray(inner); inner = inner[0]) axes++;
  return moved.shape.at(-axes)!;
}

/** @throws client_closed if the request has ended meanwhile */
export function numbersOf(tensor: PlaceholderTensor): Float32Array {
  const present = tensor.numbers();
  if (present) return present;
  throw clientClosed();
}
