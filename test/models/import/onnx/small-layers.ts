// Small layers in JSON, of which each can follow each.
import { type LayerJson, randomOf } from '../../../helpers/framework-files.ts';
import type { RecurrentJson } from '../../../helpers/onnx-graph.ts';

const { matrix, numbers } = randomOf(15_000);
/** Inputs, hidden units and outputs of all of them. */
export const D = 2;

type Of<Type extends LayerJson['type']> = Extract<LayerJson, { type: Type }>;

export const embedding = (): Of<'embedding'> => ({ type: 'embedding', E: matrix(5, D) });
export const affine = (scale: number[], offset: number[]): Of<'affine'> => ({ type: 'affine', scale, offset });
export const dense = (activation = 'linear', inputs = D): Of<'dense'> => {
  return { type: 'dense', W: matrix(inputs, D), b: numbers(D), activation };
};
const direction = (gates: number, inputs: number) => ({
  W_x: matrix(inputs, gates * D),
  W_h: matrix(D, gates * D),
  b: numbers(gates * D),
  b_h: numbers(gates * D),
});
export const rnn = (activation = 'tanh', inputs = D): RecurrentJson => ({ type: 'rnn', activation, ...direction(1, inputs) });
export const gru = (reset = 'after', inputs = D): RecurrentJson => ({ type: 'gru', reset, ...direction(3, inputs) });
export const lstm = (inputs = D): RecurrentJson => ({ type: 'lstm', ...direction(4, inputs) });
export const reverse = (layer: RecurrentJson): RecurrentJson => ({ ...layer, direction: 'reverse' });

/** Two layers of one kind as the directions of one. */
export function both(forward: RecurrentJson, { W_x, W_h, b, b_h }: RecurrentJson): RecurrentJson {
  return { ...forward, direction: 'bidirectional', backward: { W_x, W_h, ...(b && { b }), ...(b_h && { b_h }) } };
}
