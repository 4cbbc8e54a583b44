// Tensors as callers have them: a shape and its float32 numbers, made of nested arrays or into them.

/** A tensor as nested arrays, the first axis outermost. */
export type NestedArray = readonly number[] | readonly NestedArray[];

/** Where a tensor is expected. */
export type TensorLike = Tensor | NestedArray;

export class Tensor {
  /** One size an axis, the first axis outermost. */
  readonly shape: readonly number[];
  /** The elements, row-major. */
  readonly data: Float32Array<ArrayBuffer>;

  /**
   * @param data is kept, not copied, if it is a Float32Array
   * @throws RangeError if the shape has not as many elements as there are numbers
   */
  constructor(shape: readonly number[], data: ArrayLike<number>) {
    const count = shape.reduce((product, size) => product * size, 1);
    if (count !== data.length || !shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
      throw new RangeError(`A tensor of shape (${shape.join(', ')}) has not ${data.length} numbers.`);
    }
    this.shape = [...shape];
    this.data = isPlain(data) ? data : Float32Array.from(data);
  }

  /**
   * @throws RangeError if the rows of an axis differ in their sizes
   * @throws TypeError if an element is not a number
   */
  static from(nested: TensorLike): Tensor {
    if (nested instanceof Tensor) return nested;
    const shape: number[] = [];
    for (let inner: unknown = nested; Array.isArray(inner); inner = inner[0]) shape.push(inner.length);
    if (shape.length === 0) throw new TypeError(`Expected a Tensor or nested arrays of numbers, got ${nameOf(nested)}.`);
    const data = new Float32Array(shape.reduce((product, size) => product * size, 1));
    fill(nested, shape, 0, data, 0);
    return new Tensor(shape, data);
  }

  /** One element. @throws RangeError if there is none */
  at(...indices: readonly number[]): number {
    const { shape, data } = this;
    const isInside = indices.every((index, axis) => Number.isInteger(index) && index >= 0 && index < shape[axis]!);
    if (!isInside || indices.length !== shape.length) throw new RangeError(`A tensor of shape (${shape.join(', ')}) has no element (${indices.join(', ')}).`);
    return data[indices.reduce((offset, index, axis) => offset * shape[axis]! + index, 0)]!;
  }

  /** Nested arrays; of a tensor (N, H) their type is `number[][]`. */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the number of axes is not part of the type
  toArray<Nested extends NestedArray = NestedArray>(): Nested {
    return nest(this.shape, this.data, 0, 0) as Nested;
  }

  /** As toArray(), for JSON. */
  toJSON(): NestedArray {
    return this.toArray();
  }
}

/** In memory of its own, as a body of a request must be. */
function isPlain(data: ArrayLike<number>): data is Float32Array<ArrayBuffer> {
  return data instanceof Float32Array && data.buffer instanceof ArrayBuffer;
}

/** Writes the elements of an axis and those within it. @returns where they end */
function fill(nested: unknown, shape: readonly number[], axis: number, data: Float32Array, at: number): number {
  const size = shape[axis]!;
  if (!Array.isArray(nested) || nested.length !== size) {
    const found = Array.isArray(nested) ? `${nested.length} elements` : nameOf(nested);
    throw new RangeError(`A tensor is ragged: axis ${axis} has ${size} elements in one place, and ${found} in another.`);
  }
  let end = at;
  const isInnermost = axis === shape.length - 1;
  for (const element of nested as readonly unknown[]) {
    if (!isInnermost) end = fill(element, shape, axis + 1, data, end);
    else if (typeof element === 'number') data[end++] = element;
    else throw new TypeError(`An element of a tensor is ${nameOf(element)}, expected a number.`);
  }
  return end;
}

/** The elements of an axis from `start` on. */
function nest(shape: readonly number[], data: Float32Array, axis: number, start: number): unknown {
  if (axis >= shape.length - 1) return Array.from(data.subarray(start, start + (shape[axis] ?? 1)));
  const stride = shape.slice(axis + 1).reduce((product, size) => product * size, 1);
  return Array.from({ length: shape[axis]! }, (_, i) => nest(shape, data, axis + 1, start + i * stride));
}

/** Says of a typed array where a tensor is expected what to do with it. */
export function withoutShape(value: ArrayBufferView): string {
  const { name } = value.constructor;
  return `${name.startsWith('I') ? 'an' : 'a'} ${name}, which has no shape: expected nested arrays, or new Tensor([N, D], data)`;
}

/** Describes a value that stands where numbers are expected. */
export function nameOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (ArrayBuffer.isView(value)) return withoutShape(value);
  return Array.isArray(value) ? 'an array' : `${typeof value === 'object' ? 'an' : 'a'} ${typeof value}`;
}
