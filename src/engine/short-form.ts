// The short form of a model: the weights of one tanh layer, and of a linear dense layer behind it if it has a readout.
import { type LayerSource, tanhSpecs } from '../layers.ts';
import { describeShape } from '../tensor.ts';
import { expectShape } from './expect-shape.ts';
import type { ReadoutSource, ResolvedModel, WeightsSource } from './model-source.ts';

/** The layers of weights in the short form. @throws shape_mismatch if their shapes do not agree */
export function resolveShortForm(weights: WeightsSource, readout?: ReadoutSource): ResolvedModel {
  const { W_x, W_h, b } = weights;
  const [D, H] = W_x.shape as [number, number];
  const origin = `W_x ${describeShape(W_x)}`;
  expectShape(W_h, [H, H], `${origin} makes H = ${H}`);
  if (b) expectShape(b, b.axes === '1H' ? [1, H] : [H], `${origin} makes H = ${H}`);
  const rnn: LayerSource = { type: 'rnn', activation: 'tanh', direction: 'forward', weights };
  if (!readout) return { layers: tanhSpecs({ D, H, O: 0 }), sources: [rnn], origin };

  const { W_y, b_y } = readout;
  const O = W_y.shape[1]!;
  expectShape(W_y, [H, O], `${origin} makes H = ${H}`);
  if (b_y) expectShape(b_y, [O], `W_y ${describeShape(W_y)} makes O = ${O}`);
  const dense: LayerSource = { type: 'dense', activation: 'linear', W: W_y, b: b_y };
  return { layers: tanhSpecs({ D, H, O }), sources: [rnn, dense], origin };
}
