// The tensors of a layer → our layout in float32: transposed where the framework stores them so, rounded
// where they are wider.
import { elementAt, numbersIn } from '../../codec/dtypes.ts';
import { quote } from '../../codec/safetensors/quote.ts';
import type { CarryoverError } from '../../errors.ts';
import type { RawTensor } from '../../tensor.ts';
import type { ImportedModel, ImportedTensor, Layer, LayerTensor } from './layer.ts';
import { listNames, refusal } from './refusal.ts';

/**
 * Converts to (D, H), (H, H), (H,), (H, O), (O,) in float32. The result may share memory with the file's
 * tensors: what needs no conversion is not copied.
 *
 * @param layer whose shapes agree
 * @throws out_of_range
 */
export function convertLayer({ W_x, W_h, b, W_y, b_y, isTransposed }: Layer): ImportedModel {
  const tensor = (part: LayerTensor, transposes = false) =>
    part.tensor.bytes
      ? new TensorInPlace(part, transposes)
      : transposes
        ? transpose(toFloat32(part))
        : toFloat32(part);
  return {
    W_x: tensor(W_x, isTransposed),
    W_h: tensor(W_h, isTransposed),
    ...(b.length > 0 && { b: sumOf(b) }),
    ...(W_y && { W_y: tensor(W_y, isTransposed) }),
    ...(b_y && { b_y: tensor(b_y) }),
  };
}

/** A tensor that stays in the bytes of the file until its values are read. */
class TensorInPlace implements ImportedTensor {
  readonly shape: readonly number[];
  readonly #part: LayerTensor;
  readonly #transposes: boolean;

  constructor(part: LayerTensor, transposes: boolean) {
    const { shape } = part.tensor;
    this.shape = transposes ? shape.toReversed() : shape;
    this.#part = part;
    this.#transposes = transposes;
  }

  get data(): Float32Array {
    const { data } = this.#transposes ? transpose(toFloat32(this.#part)) : toFloat32(this.#part);
    return data;
  }

  raw(): RawTensor {
    const { tensor } = this.#part;
    const { dtype, shape } = tensor;
    const [A = 1, B = 1] = shape;
    const bytes = tensor.bytes!;
    const errorAt = (index: number) => {
      const [value] = numbersIn(elementAt(bytes, dtype, index), dtype);
      return notFinite(this.#part, index, value!);
    };
    return { bytes, dtype, sizes: [A, B, 1], swaps: this.#transposes, errorAt };
  }
}

function toFloat32(part: LayerTensor): ImportedTensor {
  const { tensor } = part;
  const { shape } = tensor;
  const data = tensor.data instanceof Float32Array ? tensor.data : new Float32Array(tensor.data);
  const at = findNotFinite(data);
  if (at >= 0) throw notFinite(part, at, tensor.data[at]!);
  return { shape, data };
}

function notFinite({ name, tensor }: LayerTensor, at: number, value: number): CarryoverError {
  const place = `[${indicesOf(at, tensor.shape).join(', ')}]`;
  return outOfRange([name], `Tensor ${quote(name)} is ${value} at ${place}`);
}

function findNotFinite(data: Float32Array): number {
  // A loop: findIndex calls a function for each of some million weights and takes four times as long.
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) return i;
  return -1;
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

/** One bias, or the sum of torch's two: added in float64 and then rounded to float32. */
function sumOf(parts: readonly LayerTensor[]): ImportedTensor {
  const [bias, ...others] = parts.map(toFloat32);
  const shape = [bias!.data.length];
  if (others.length === 0) return { shape, data: bias!.data };
  const [first, second] = parts as [LayerTensor, LayerTensor];
  const sums = Float64Array.from(first.tensor.data, (b_i, i) => b_i + second.tensor.data[i]!);
  const data = new Float32Array(sums);
  const at = findNotFinite(data);
  if (at >= 0) {
    const names = [first.name, second.name];
    throw outOfRange(names, `The sum of tensors ${listNames(names)} is ${sums[at]} at [${at}]`);
  }
  return { shape, data };
}

/** (rows, columns) → (columns, rows) */
function transpose({ shape, data }: ImportedTensor): ImportedTensor {
  const [rows, columns] = shape as [number, number];
  const result = new Float32Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) result[j * rows + i] = data[i * columns + j]!;
  }
  return { shape: [columns, rows], data: result };
}

function outOfRange(names: readonly string[], found: string): CarryoverError {
  const expected = 'expected a finite float32, whose largest magnitude is 3.4028235e38';
  return refusal('out_of_range', names, `${found}, ${expected}.`);
}
