// The tensors of layers in our layout in float32, made of those of a file: transposed where the framework stores them
// so, with their gates in our order, rounded where they are wider. The file is read when a tensor is copied.
import { orderBlocks } from '../../codec/convert-tensor.ts';
import { elementAt, numbersIn } from '../../codec/dtypes.ts';
import { quote } from '../../codec/safetensors/quote.ts';
import type { CarryoverError } from '../../errors.ts';
import type { RawTensor, TensorSource } from '../../tensor.ts';
import type { FileTensor } from './layer.ts';
import { refusal } from './refusal.ts';

/** A vector whose elements are computed when it is copied. */
export function computedVector(name: string, length: number, elements: () => Float32Array): TensorSource {
  return { name, axes: 'D', shape: [length], copyTo: (target) => target.set(elements()) };
}

/** A tensor that is one of the file. */
export class FileSource implements TensorSource {
  readonly name: string;
  readonly axes: string;
  readonly shape: readonly number[];
  readonly #part: FileTensor;
  readonly #transposes: boolean;
  readonly #blocks: readonly number[] | undefined;

  /** @param blocks where each block of columns of ours stands in the file; undefined: in the same order */
  constructor(name: string, part: FileTensor, transposes = false, blocks?: readonly number[]) {
    const { shape } = part.tensor;
    this.name = name;
    this.axes = shape.length === 1 ? 'D' : 'DH';
    this.shape = transposes ? shape.toReversed() : shape;
    this.#part = part;
    this.#transposes = transposes;
    this.#blocks = blocks;
  }

  copyTo(target: Float32Array): void {
    const numbers = finiteFloats(this.#part);
    if (this.#transposes) transpose(numbers, this.shape, target);
    else target.set(numbers);
    if (this.#blocks) orderBlocks(target, this.shape[1]!, this.#blocks);
  }

  raw(): RawTensor | undefined {
    const { tensor } = this.#part;
    const { bytes, dtype, shape } = tensor;
    if (!bytes) return undefined;
    const [A = 1, B = 1] = shape;
    const errorAt = (index: number) => {
      const [value] = numbersIn(elementAt(bytes, dtype, index), dtype);
      return notFinite(this.#part, index, value!);
    };
    return { bytes, dtype, sizes: [A, B, 1], swaps: this.#transposes, blocks: this.#blocks, errorAt };
  }
}

/** May share memory with the file. @throws out_of_range */
export function finiteFloats(part: FileTensor): Float32Array {
  const { data } = part.tensor;
  const numbers = data instanceof Float32Array ? data : new Float32Array(data);
  const at = firstNotFinite(numbers);
  if (at >= 0) throw notFinite(part, at, data[at]!);
  return numbers;
}

/** The index of the first number that is not finite; -1 if all are. */
export function firstNotFinite(numbers: Float32Array): number {
  // A loop: findIndex calls a function for each of some million weights and takes four times as long.
  for (let i = 0; i < numbers.length; i++) if (!Number.isFinite(numbers[i])) return i;
  return -1;
}

function notFinite({ name, tensor }: FileTensor, at: number, value: number): CarryoverError {
  const place = `[${indicesOf(at, tensor.shape).join(', ')}]`;
  return outOfRange([name], `Tensor ${quote(name)} is ${value} at ${place}`);
}

/** @param found what is out of range, at which place */
export function outOfRange(names: readonly string[], found: string): CarryoverError {
  const expected = 'expected a finite float32, whose largest magnitude is 3.4028235e38';
  return refusal('out_of_range', names, `${found}, ${expected}.`);
}

function indicesOf(at: number, shape: readonly number[]): number[] {
  const indices: number[] = [];
  let rest = at;
  for (const size of shape.toReversed()) {
    indices.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return indices;
}

/** Writes (rows, columns), of which `numbers` is the transpose. */
function transpose(numbers: Float32Array, shape: readonly number[], target: Float32Array): void {
  const [rows, columns] = shape as [number, number];
  for (let j = 0; j < columns; j++) {
    for (let i = 0; i < rows; i++) target[i * columns + j] = numbers[j * rows + i]!;
  }
}
