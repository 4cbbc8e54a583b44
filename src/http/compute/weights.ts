import type { Static } from 'typebox';
import { type Matrix, type Vector, tensorFromJson } from '../../codec/json/tensor.ts';
import type { LayersSource, WeightsSource } from '../../engine/model-source.ts';
import { CarryoverError } from '../../errors.ts';
import type { InlineWeights } from '../schemas/layers.ts';
import type { Weights } from '../schemas/tensor.ts';
import { layersSource } from './layers.ts';

/**
 * The weights of a computation: those in the body, or a registered model; undefined if neither is given, as with
 * a session.
 *
 * @throws invalid_request if both are given
 */
export function optionalWeights(
  model: string | undefined,
  weights: WeightsSource | LayersSource | undefined,
): WeightsSource | LayersSource | string | undefined {
  if (model === undefined || weights === undefined) return model ?? weights;
  throw new CarryoverError('invalid_request', {
    detail: 'Expected one of `weights` and `model`, got both.',
  });
}

/** As optionalWeights(), where there has to be one. @throws invalid_request unless exactly one is given */
export function weightsOf(
  model: string | undefined,
  weights: WeightsSource | LayersSource | undefined,
): WeightsSource | LayersSource | string {
  const source = optionalWeights(model, weights);
  if (source !== undefined) return source;
  throw new CarryoverError('invalid_request', {
    detail: 'Expected one of `weights` and `model`, got neither.',
  });
}

/** Weights that come with a request. @throws ragged_array */
export function inlineSource(weights: Static<typeof InlineWeights>): WeightsSource | LayersSource {
  return 'layers' in weights ? layersSource(weights, 'weights/layers') : weightsSource(weights);
}

/** The tensors of weights in JSON. @throws ragged_array */
export function weightsSource({ W_x, W_h, b }: Static<typeof Weights>): WeightsSource {
  return {
    W_x: tensorFromJson('weights/W_x', 'DH', W_x),
    W_h: tensorFromJson('weights/W_h', 'HH', W_h),
    b: b && biasSource(b),
  };
}

function biasSource(b: Vector | Matrix) {
  return tensorFromJson('weights/b', Array.isArray(b[0]) ? '1H' : 'H', b);
}
