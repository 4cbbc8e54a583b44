import { CarryoverError } from '../errors.ts';
import { type TensorSource, describeShape, formatShape } from '../tensor.ts';

/** @param why a clause for the error · @throws shape_mismatch */
export function expectShape(tensor: TensorSource, expected: readonly number[], why: string): void {
  if (tensor.shape.every((size, axis) => size === expected[axis])) return;
  const found = `${tensor.name.split('/').at(-1)} has shape ${describeShape(tensor)}`;
  throw shapeMismatch(tensor.name, `${found}, expected ${formatShape(expected)}, because ${why}.`);
}

/** @param place of the value in the body, e.g. `weights/W_h` */
export function shapeMismatch(place: string, message: string): CarryoverError {
  return new CarryoverError('shape_mismatch', { detail: message, errors: [{ pointer: `/${place}`, message }] });
}
