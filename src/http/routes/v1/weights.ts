import type { Static } from 'typebox';
import { type Matrix, type Vector, nestedTensor } from '../../../codec/nested.ts';
import type { WeightsSource } from '../../../engine/shapes.ts';
import { CarryoverError } from '../../../errors.ts';
import type { Weights } from '../../schemas/tensor.ts';

/**
 * Where a computation's weights come from: in the body, or a registered model.
 *
 * @throws invalid_request unless exactly one is given
 */
export function weightsOf(
  model: string | undefined,
  weights: WeightsSource | undefined,
): WeightsSource | string {
  if (weights !== undefined && model === undefined) return weights;
  if (model !== undefined && weights === undefined) return model;
  const given = model === undefined ? 'neither' : 'both';
  throw new CarryoverError('invalid_request', {
    detail: `Expected one of \`weights\` and \`model\`, got ${given}.`,
  });
}

/** @throws ragged_array */
export function weightsSource({ W_x, W_h, b }: Static<typeof Weights>): WeightsSource {
  return {
    W_x: nestedTensor('weights/W_x', 'DH', W_x),
    W_h: nestedTensor('weights/W_h', 'HH', W_h),
    b: b && biasSource(b),
  };
}

function biasSource(b: Vector | Matrix) {
  return nestedTensor('weights/b', Array.isArray(b[0]) ? '1H' : 'H', b);
}
