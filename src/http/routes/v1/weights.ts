import type { Static } from 'typebox';
import { nestedTensor, type Matrix, type Vector } from '../../../codec/nested.ts';
import type { WeightsSource } from '../../../engine/shapes.ts';
import type { Weights } from '../../schemas/tensor.ts';

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
