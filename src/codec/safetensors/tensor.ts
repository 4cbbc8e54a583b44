// A tensor of a safetensors file as a TensorSource.
import { CarryoverError } from '../../errors.ts';
import { type RawTensor, type TensorSource, areFinite, formatShape } from '../../tensor.ts';
import { axisOrder, copyTimeFirst, swapsAxes } from '../axis-order.ts';
import { elementAt, numbersIn } from '../dtypes.ts';
import { beyondFloat32, hasFloat32 } from '../float32.ts';
import type { SafeTensor } from './read.ts';

/**
 * The tensor as the contract names it.
 *
 * @param name where it is in the request, e.g. `weights/W_x`
 * @param axes a letter for each axis, e.g. `TND`
 * @throws shape_mismatch if the tensor has another number of axes, or one of size 0
 */
export function tensorFromFile(name: string, axes: string, tensor: SafeTensor): TensorSource {
  const { shape } = tensor;
  if (shape.length !== axes.length || shape.includes(0)) {
    const message =
      `${name.split('/').at(-1)} has shape ${formatShape(shape)}, ` +
      `expected ${formatShape(axes.split(''))} with no axis of size 0.`;
    throw new CarryoverError('shape_mismatch', {
      detail: message,
      errors: [{ pointer: `/${name}`, message }],
    });
  }
  return {
    name,
    axes,
    shape,
    copyTo: (target, isFinite = areFinite) => {
      const { data } = tensor;
      copyTimeFirst(axes, shape, data, target);
      if (!isFinite(target)) throw firstBeyondFloat32(name, shape, data);
    },
    inPlace: () => (isInPlace(axes, tensor) ? (tensor.data as Float32Array) : undefined),
    raw: () => rawOf(name, axes, tensor),
  };
}

/** Decided without `tensor.data`, which for other dtypes is a copy made on access. */
function isInPlace(axes: string, { dtype, bytes }: SafeTensor): boolean {
  const isAligned = bytes === undefined || bytes.byteOffset % Float32Array.BYTES_PER_ELEMENT === 0;
  return dtype === 'F32' && isAligned && !swapsAxes(axes);
}

function rawOf(name: string, axes: string, { shape, dtype, bytes }: SafeTensor): RawTensor | undefined {
  if (!bytes) return undefined;
  const errorAt = (index: number) => {
    const [value] = numbersIn(elementAt(bytes, dtype, index), dtype);
    return beyondFloat32(`/${name}${pointerOf(index, shape)}`, value!);
  };
  return { bytes, dtype, ...axisOrder(axes, shape), errorAt };
}

function firstBeyondFloat32(
  name: string,
  shape: readonly number[],
  data: SafeTensor['data'],
): CarryoverError {
  const index = data.findIndex((value) => !hasFloat32(value));
  return beyondFloat32(`/${name}${pointerOf(index, shape)}`, data[index]!);
}

/** The JSON pointer of a row-major element: of element 5 of (2, 3) it is `/1/2`. */
function pointerOf(index: number, shape: readonly number[]): string {
  let rest = index;
  let pointer = '';
  for (const size of shape.toReversed()) {
    pointer = `/${rest % size}${pointer}`;
    rest = Math.floor(rest / size);
  }
  return pointer;
}
