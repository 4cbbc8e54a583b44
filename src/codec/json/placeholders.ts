// Placeholders: what a parsed body has in place of its tensors, whose numbers the reading kernel has converted
// to float32 in linear memory (kernels/read.ts).
//
// In the skeleton that the kernel leaves, [[0.5,0]] stands for a tensor of two axes: its first number and its
// index. bindPlaceholders() puts a TensorPlaceholder of as many axes in its place. It is an array, so a JSON
// Schema checks the depth and the type of the elements as it does of nested arrays.
import { clientClosed } from '../../errors.ts';
import { visitMembers } from './visit-members.ts';

/**
 * The fields whose arrays may be lists of tensors: the states of several layers. An array that begins with null, or
 * with an array of arrays, is a list, and each of its elements is a tensor or null; any other array is a tensor.
 */
export const LIST_NAMES: readonly string[] = ['h', 'c'];

/** The fields whose arrays are tensors, wherever they are in a body. */
export const TENSOR_NAMES: readonly string[] = [
  ...LIST_NAMES,
  'x', 'W_x', 'W_h', 'b', 'b_h', 'W_y', 'b_y', 'E', 'scale', 'offset', 'W',
  // Of the Open Inference Protocol.
  'data',
];

/** A tensor in linear memory. */
export interface ParsedTensor {
  /** The sizes of its axes, the outermost first. */
  readonly shape: readonly number[];
  /** The elements, row-major, all finite; undefined once their memory was released. */
  numbers(): Float32Array | undefined;
}

/** One axis of a tensor: an array of one element, the next axis or the tensor's first number. */
export class TensorPlaceholder extends Array<unknown> {
  /** Methods of arrays make plain arrays. */
  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }

  readonly tensor: ParsedTensor;
  /** 0 for the outermost. */
  readonly axis: number;

  constructor(tensor: ParsedTensor, axis: number, element: unknown) {
    super();
    this.tensor = tensor;
    this.axis = axis;
    this[0] = element;
  }
}

/**
 * Replaces the arrays that stand for tensors by placeholders.
 *
 * @param body a parsed skeleton
 * @param tensors by their index in the skeleton
 * @returns the number of keys of all objects in the body
 */
export function bindPlaceholders(body: unknown, tensors: readonly ParsedTensor[]): number {
  let keys = 0;
  visitMembers(body, (name, member, object) => {
    keys++;
    if (!Array.isArray(member) || !TENSOR_NAMES.includes(name)) return true;
    const isTensor = !LIST_NAMES.includes(name) || !isList(member);
    object[name] = isTensor
      ? placeholderOf(member, tensors)
      : member.map((entry: unknown) => (Array.isArray(entry) ? placeholderOf(entry, tensors) : entry));
    return false;
  });
  return keys;
}

function isList([first]: readonly unknown[]): boolean {
  return first === null || (Array.isArray(first) && Array.isArray(first[0]));
}

/** @param array `[first, index]` within as many arrays as the tensor has axes from `axis` on, less one */
function placeholderOf(array: readonly unknown[], tensors: readonly ParsedTensor[], axis = 0): TensorPlaceholder {
  const first = array[0];
  if (!Array.isArray(first)) return new TensorPlaceholder(tensors[array[1] as number]!, axis, first);
  const inner = placeholderOf(first, tensors, axis + 1);
  return new TensorPlaceholder(inner.tensor, axis, inner);
}

/** The tensor that a value of a body stands for, or of which it is one axis. */
export function tensorOf(value: object): ParsedTensor | undefined {
  return value instanceof TensorPlaceholder ? value.tensor : undefined;
}

/** The length of an array, or of the axis for which it stands. */
export function lengthOf(array: readonly unknown[]): number {
  return array instanceof TensorPlaceholder ? array.tensor.shape[array.axis]! : array.length;
}

/** @throws client_closed if the memory was released, which happens when the request has ended */
export function numbersOf(tensor: ParsedTensor): Float32Array {
  const numbers = tensor.numbers();
  if (numbers) return numbers;
  throw clientClosed();
}
