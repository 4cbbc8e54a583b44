// Shapes and their words: N mini-batch, D inputs, H hidden units, T time steps. Rows are samples,
// matrices are row-major, the weight is on the right.

/** A tensor to be read, wherever its numbers are kept; copied once, straight to where it is used. */
export interface TensorSource {
  /** The contract's name with its place in the body, e.g. `x`, `weights/W_h`. */
  readonly name: string;
  /** The meaning of each axis, e.g. `TND`; an axis that must be 1 is called `1`. */
  readonly axes: string;
  /** Sizes in the order of `axes`. */
  readonly shape: readonly number[];
  /**
   * Writes all elements, row-major, time before batch whatever `axes` says.
   *
   * @param isFinite looks whether all of `target` is finite; one that is faster than a loop, if there is one
   * @throws out_of_range if an element is beyond float32
   */
  copyTo(target: Float32Array, isFinite?: (numbers: Float32Array) => boolean): void;
  /**
   * The numbers where they are, if they are as copyTo() would write them; perhaps not all finite. They stay
   * until the request is answered or its client is gone.
   */
  inPlace?(): Float32Array | undefined;
  /** Its bytes in linear memory, if another thread can make of them what copyTo() would write. */
  raw?(): RawTensor | undefined;
}

export type Dtype = 'F32' | 'F64' | 'F16' | 'BF16';

/** Elements as they stand in a file or a body, and how they become row-major float32. */
export interface RawTensor {
  /** At any address, as many as the elements take. */
  readonly bytes: Uint8Array;
  readonly dtype: Dtype;
  /** Of three axes, row-major; those that are missing are 1. */
  readonly sizes: readonly [number, number, number];
  /** Whether the first two axes change places, as in a transposed matrix or with time before batch. */
  readonly swaps: boolean;
  /** The refusal of an element that is no finite float32, by its place in `bytes`. */
  readonly refuse: (index: number) => Error;
}

/** Whether all of them are: v - v is 0, or NaN if v is not finite, and NaN stays. */
export function areFinite(numbers: Float32Array): boolean {
  let zero = 0;
  for (let i = 0; i < numbers.length; i++) zero += numbers[i]! - numbers[i]!;
  return zero === 0;
}

/** A tensor that was computed: element (i, j, …) is data[i * strides[0] + j * strides[1] + …]. */
export interface TensorView {
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly data: Float32Array;
}

/** Weights of one layer: W_x (D, H), W_h (H, H), b (H); an absent bias is zeros. */
export interface Weights {
  readonly D: number;
  readonly H: number;
  readonly W_x: Float32Array;
  readonly W_h: Float32Array;
  readonly b: Float32Array;
}

/** A readout of the hidden state, y = h W_y + b_y: W_y (H, O), b_y (O); an absent bias is zeros. */
export interface Readout {
  readonly O: number;
  readonly W_y: Float32Array;
  readonly b_y: Float32Array;
}

/** The size of one named axis. */
export function sizeOf(source: TensorSource, axis: string): number {
  return source.shape[source.axes.indexOf(axis)]!;
}

/** How a shape is written in errors and docs: (9, 5, 4), or (7,) for a vector. */
export function formatShape(shape: readonly (number | string)[]): string {
  return shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
}

/** A source's shape with its axes: `(N, D) = (5, 4)`. */
export function describeShape({ axes, shape }: TensorSource): string {
  return `${formatShape(axes.split(''))} = ${formatShape(shape)}`;
}
