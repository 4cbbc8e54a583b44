// Tensors and their shapes: N rows of a mini-batch, D inputs, H hidden units, O outputs, T time steps. Rows are
// samples, matrices are row-major, weights are on the right.

/** A tensor of a request, whatever it was read from. Its elements are copied once, to where they are used. */
export interface TensorSource {
  /** Where it is in the body, e.g. `x`, `weights/W_h`. */
  readonly name: string;
  /** A letter for each axis, e.g. `TND`; an axis whose size must be 1 is called `1`. */
  readonly axes: string;
  /** Sizes in the order of `axes`. */
  readonly shape: readonly number[];
  /**
   * Writes all elements to `target`, row-major, with time outermost whatever `axes` says.
   *
   * @param isFinite whether all elements of `target` are finite; given if there is one faster than areFinite()
   * @throws out_of_range if an element is beyond float32
   * @throws client_closed if its memory was released
   */
  copyTo(target: Float32Array, isFinite?: (numbers: Float32Array) => boolean): void;
  /**
   * The elements in place, if they are as copyTo() would write them; else undefined. They may be not finite, and
   * they are valid until the response has been sent or the client has closed the connection.
   *
   * @throws client_closed if their memory was released
   */
  inPlace?(): Float32Array | undefined;
  /**
   * The elements as bytes in linear memory, from which a worker can write what copyTo() would write; undefined if
   * they are elsewhere.
   *
   * @throws client_closed if their memory was released
   */
  raw?(): RawTensor | undefined;
}

/** The types of real numbers that files may have. */
export const FLOAT_DTYPES = ['F32', 'F64', 'F16', 'BF16'] as const;
/** The types of elements that files may have; integers only as row numbers of an embedding. */
export const DTYPES = [...FLOAT_DTYPES, 'I32', 'I64'] as const;

export type Dtype = (typeof DTYPES)[number];

/** Elements as they are in a file or a body, and how they are converted to row-major float32. */
export interface RawTensor {
  /** Little-endian, at any alignment. */
  readonly bytes: Uint8Array;
  readonly dtype: Dtype;
  /** The sizes of three axes; those that are missing are 1. */
  readonly sizes: readonly [number, number, number];
  /** Whether the first two axes are exchanged: the matrix is transposed, or N is outside T. */
  readonly swaps: boolean;
  /**
   * Of a matrix whose columns are blocks of the same width: where each block of the result stands in `bytes`, e.g.
   * [1, 0, 2] if the first two change places. Absent: in the same order.
   */
  readonly blocks?: readonly number[] | undefined;
  /** The error for the element at `index` in `bytes`, which is no finite float32. */
  readonly errorAt: (index: number) => Error;
}

/** Whether all elements are finite. */
export function areFinite(numbers: Float32Array): boolean {
  // v - v is 0, or NaN if v is not finite, and a sum with NaN in it is NaN.
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

/** A view of the same elements with the first two axes exchanged: (T, N, H) as (N, T, H). */
export function swapAxes({ shape, strides, data }: TensorView): TensorView {
  const [first, second, ...rest] = shape as [number, number, ...number[]];
  const [firstStride, secondStride, ...restStrides] = strides as [number, number, ...number[]];
  return {
    shape: [second, first, ...rest],
    strides: [secondStride, firstStride, ...restStrides],
    data,
  };
}

/** Weights of one recurrent layer, row-major: W_x (D, H), W_h (H, H), b (H). An absent bias is zeros. */
export interface Weights {
  readonly D: number;
  readonly H: number;
  readonly W_x: Float32Array;
  readonly W_h: Float32Array;
  readonly b: Float32Array;
}

/** A readout of the hidden state, y = h W_y + b_y, row-major: W_y (H, O), b_y (O). An absent bias is zeros. */
export interface Readout {
  readonly O: number;
  readonly W_y: Float32Array;
  readonly b_y: Float32Array;
}

/** The size of the axis with this letter. */
export function sizeOf(source: TensorSource, axis: string): number {
  return source.shape[source.axes.indexOf(axis)]!;
}

export function numbersOf({ shape }: TensorSource): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** A shape as in errors and docs: (9, 5, 4), or (7,) for a vector. */
export function formatShape(shape: readonly (number | string)[]): string {
  return shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
}

/** The axes and the shape of a tensor: `(N, D) = (5, 4)`. */
export function describeShape({ axes, shape }: TensorSource): string {
  return `${formatShape(axes.split(''))} = ${formatShape(shape)}`;
}
