// The inputs and outputs of a model as the Open Inference Protocol describes them. An axis that may vary is -1.
import { type LayerSpec, modelSizes, statesOf } from '../../layers.ts';

export interface TensorDescription {
  readonly name: string;
  readonly datatype: 'FP32' | 'INT32' | 'INT64';
  readonly shape: readonly number[];
}

/** T and N. */
const ANY = -1;

const real = (name: string, ...shape: number[]): TensorDescription => ({ name, datatype: 'FP32', shape });

/** x first; all others may be absent. */
export function inputsOf(layers: readonly LayerSpec[]): TensorDescription[] {
  const { D } = modelSizes(layers);
  const isEmbedding = layers[0]!.type === 'embedding';
  const x: TensorDescription = isEmbedding ? { name: 'x', datatype: 'INT64', shape: [ANY, ANY] } : real('x', ANY, ANY, D);
  return [x, ...statesIn(layers), { name: 'lengths', datatype: 'INT32', shape: [ANY] }];
}

/** Of a sequence: without an axis T in x there are no hs and ys. */
export function outputsOf(layers: readonly LayerSpec[]): TensorDescription[] {
  const { H, O } = modelSizes(layers);
  const behind = O > 0 ? [real('ys', ANY, ANY, O), real('y', ANY, O)] : [];
  return [real('hs', ANY, ANY, H), ...statesIn(layers), ...behind];
}

function statesIn(layers: readonly LayerSpec[]): TensorDescription[] {
  const slots = statesOf(layers);
  const nameOf = (letter: string, k: number) => (slots.length === 1 ? letter : `${letter}.${k}`);
  const hs = slots.map(({ H }, k) => real(nameOf('h', k), ANY, H));
  const cs = slots.flatMap(({ H, hasC }, k) => (hasC ? real(nameOf('c', k), ANY, H) : []));
  return [...hs, ...cs];
}
