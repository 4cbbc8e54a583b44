// The models that the sessions of a run have in turn: one tanh layer in the short form, and layers with one h, with a c
// beside it, and with several of both.
import { layersJson } from '../../load/cases/layers-json.ts';
import { type Layer, type LayerSpec, tanhLayers } from '../../src/layers.ts';
import type { Weights } from '../../src/tensor.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { weightsBody } from '../helpers/recurrence.ts';
import { stackOf } from '../helpers/stacks.ts';

export interface SessionModel {
  readonly name: string;
  readonly layers: readonly Layer[];
  /** The body that registers it. */
  readonly body: object;
  /** Inputs as a session has them: 1 for an embedding. */
  readonly D: number;
  /** Hidden units of the last recurrent layer. */
  readonly H: number;
}

const forward = { direction: 'forward' } as const;

export const MODELS: readonly SessionModel[] = [
  tanhModel(randomWeights(3, 24, 4)),
  layersModel('lstm', [{ type: 'lstm', D: 3, H: 6, ...forward }]),
  layersModel('embedding, lstm, gru, softmax', [
    { type: 'embedding', V: 32, D: 4 },
    { type: 'lstm', D: 4, H: 5, ...forward },
    { type: 'gru', D: 5, H: 3, reset: 'after', ...forward },
    { type: 'dense', I: 3, O: 4, activation: 'softmax' },
  ]),
  layersModel('affine, lstm of two layers, linear', [
    { type: 'affine', D: 2 },
    { type: 'lstm', D: 2, H: 4, ...forward },
    { type: 'lstm', D: 4, H: 7, ...forward },
    { type: 'dense', I: 7, O: 3, activation: 'linear' },
  ]),
  layersModel('relu', [{ type: 'rnn', activation: 'relu', D: 3, H: 9, ...forward }]),
];

export function tanhModel(weights: Weights): SessionModel {
  const { D, H } = weights;
  return { name: `tanh ${D}-${H}`, layers: tanhLayers(weights), body: { weights: weightsBody(weights) }, D, H };
}

function layersModel(name: string, specs: readonly LayerSpec[]): SessionModel {
  const { layers } = stackOf(specs, { T: 1, N: 1 }, 7);
  const [first] = layers as [Layer, ...Layer[]];
  const D = first.type === 'embedding' || first.type === 'dense' ? 1 : first.D;
  const { H } = layers.findLast((layer) => 'weights' in layer)!;
  return { name, layers, body: { layers: layersJson(layers) }, D, H };
}

export function randomWeights(D: number, H: number, seed: number): Weights {
  const random = pseudoRandom(seed);
  const fill = (count: number) =>
    Float32Array.from({ length: count }, () => random() / Math.sqrt(H));
  return { D, H, W_x: fill(D * H), W_h: fill(H * H), b: fill(H) };
}
