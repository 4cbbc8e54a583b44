// This server's own names and layout. Of one tanh layer: W_x (D, H), W_h (H, H), b (H) or (1, H), and of a readout W_y
// (H, O), b_y (O). Of any layers, which have to be described, because names do not tell their kinds:
//
//   layers.0.E · layers.1.scale, offset · layers.2.W, b · layers.3.W_x, W_h, b, b_h · layers.3.backward.W_x …
//
// In place of b_h, of a GRU with reset after, there may be b_hn (H): what is left of b_h where the rest was added to b.
import { quote } from '../../codec/safetensors/quote.ts';
import { type CellType, GATES } from '../../layers.ts';
import { canonicalPrefix } from './canonical-name.ts';
import type { Convention } from './convention.ts';
import type { DescribedLayer, LayerType } from './description.ts';
import { type FoundDirection, type FoundLayer, type FoundRecurrent, axesOf, cellOf } from './layer.ts';
import { expectCell } from './layer-shapes.ts';
import { LayerTensors } from './layer-tensors.ts';
import { refusal } from './refusal.ts';
import { adviceToDescribe, expectDirection } from './stated.ts';
import type { UnclaimedTensors } from './unclaimed-tensors.ts';

const LAYOUT = { isTransposed: false };
const LAYERED = /^layers\.\d{1,9}\.(?:backward\.)?(?:E|scale|offset|W|b|W_x|W_h|b_h|b_hn)$/;

const RECURRENT_ROLES = ['W_x', 'W_h', 'b', 'b_h', 'b_hn'];

export const CARRYOVER_NAMES: Convention = {
  title: 'ours',
  pattern: /^(?:W_x|W_h|b|W_y|b_y)$|^layers\.\d{1,9}\.(?:backward\.)?(?:E|scale|offset|W|b|W_x|W_h|b_h|b_hn)$/,
  read: readCarryover,
  roles: {
    embedding: ['E'],
    affine: ['scale', 'offset'],
    dense: ['W', 'b'],
    rnn: RECURRENT_ROLES,
    gru: RECURRENT_ROLES,
    lstm: RECURRENT_ROLES,
  },
  keyOf,
  has: (tensors, layer) => tensorsOf(tensors, layer).has(keyOf(layer.type).slice(1)),
  claim: claimCarryover,
  accepts: 'W_x, W_h, b, W_y, b_y',
};

function keyOf(type: LayerType): string {
  if (type === 'embedding') return '.E';
  if (type === 'affine') return '.scale';
  return type === 'dense' ? '.W' : '.W_x';
}

function readCarryover(tensors: UnclaimedTensors, readout: string | undefined): FoundLayer[] {
  const [layered] = tensors.matching(LAYERED);
  if (layered !== undefined) throw kindsUnknown(layered);
  const why = 'a layer has both W_x and W_h';
  const W_x = tensors.require('W_x', ['D', 'H'], why);
  const W_h = tensors.require('W_h', ['H', 'H'], why);
  const cell = cellOf(W_h, LAYOUT);
  if (cell !== undefined && cell !== 'rnn') throw hasGates(W_h.name, cell);
  const b = tensors.take('b', tensors.shapeOf('b')?.length === 2 ? ['1', 'H'] : ['H']);
  const hasReadout = tensors.has('W_y') || tensors.has('b_y');
  const W_y = hasReadout ? tensors.require('W_y', ['I', 'O'], 'b_y needs it') : undefined;
  const b_y = tensors.take('b_y', ['O']);
  tensors.expectNone('nothing beside W_x, W_h, b, W_y and b_y');
  if (readout !== undefined) {
    const message =
      `The readout is said to be ${quote(readout)}, but these names identify it: expected no readout ` +
      'beside W_x, W_h and b but W_y and b_y.';
    throw refusal('unknown_tensors', [readout], message);
  }
  const weights = { W_x, W_h, b: b && { from: b, start: 0 } };
  const rnn: FoundRecurrent = { type: 'rnn', direction: 'forward', activation: 'tanh', layout: LAYOUT, weights };
  return W_y ? [rnn, { type: 'dense', activation: 'linear', layout: LAYOUT, W: W_y, b: b_y }] : [rnn];
}

function claimCarryover(tensors: UnclaimedTensors, layer: DescribedLayer): FoundLayer[] {
  const { type, activation } = layer;
  const parts = tensorsOf(tensors, layer);
  switch (type) {
    case 'embedding':
      return [{ type, E: parts.require('E', ['V', 'D'], '') }];
    case 'affine': {
      const why = 'an affine layer has both scale and offset';
      return [{ type, scale: parts.require('scale', ['D'], why), offset: parts.require('offset', ['D'], why) }];
    }
    case 'dense':
      return [
        {
          type,
          activation: activation ?? 'linear',
          layout: LAYOUT,
          W: parts.require('W', ['I', 'O'], ''),
          b: parts.take('b', ['O']),
        },
      ];
    default:
      return [claimRecurrent(tensors, layer, parts)];
  }
}

function claimRecurrent(tensors: UnclaimedTensors, layer: DescribedLayer, parts: LayerTensors): FoundRecurrent {
  const { activation, reset = 'after' } = layer;
  const type = layer.type as CellType;
  const weights = claimDirection(parts, type, reset);
  const backwardParts = tensorsOf(tensors, layer, 'backward.', layer.backward);
  const hasBackward = ['W_x', 'W_h'].some((role) => backwardParts.has(role));
  const backward = hasBackward ? claimDirection(backwardParts, type, reset) : undefined;
  const direction = expectDirection(layer, backward !== undefined);
  const found = { type, direction, layout: LAYOUT, weights, backward };
  if (type === 'rnn') return { ...found, activation: activation === 'relu' ? 'relu' : 'tanh' };
  return type === 'gru' ? { ...found, reset } : found;
}

function claimDirection(parts: LayerTensors, type: CellType, reset: string): FoundDirection {
  const axes = axesOf(type, LAYOUT);
  const why = 'a recurrent layer has both W_x and W_h';
  const W_x = parts.require('W_x', axes.W_x, why);
  const W_h = parts.require('W_h', axes.W_h, why);
  expectCell(W_h, LAYOUT, type);
  const bias = (role: string, biasAxes: readonly string[]) => {
    const from = parts.take(role, biasAxes);
    return from && { from, start: 0 };
  };
  const [b, b_h] = [bias('b', axes.b), bias('b_h', axes.b)];
  const hasOwn = type === 'gru' && reset === 'after' && !b_h;
  return { W_x, W_h, b, b_h, b_hn: hasOwn ? bias('b_hn', ['H']) : undefined };
}

/** Without a name, the tensors of the layer are those that its number names. */
function tensorsOf(tensors: UnclaimedTensors, layer: DescribedLayer, inner = '', named = layer.tensors): LayerTensors {
  const prefix = canonicalPrefix(layer.name ?? `layers.${layer.index}`, '.');
  return new LayerTensors(tensors, (role) => `${prefix}${inner}${role}`, named, layer.place);
}

function kindsUnknown(name: string) {
  const message =
    `The file does not say what the layer of tensor ${quote(name)} computes: expected a description of all layers, ` +
    'as ?layers= in the address or "carryover.layers" in the __metadata__ of the file, e.g. ' +
    '[{"type":"lstm"},{"type":"dense"}].';
  return refusal('layers_unconfirmed', [name], message);
}

function hasGates(name: string, cell: 'gru' | 'lstm') {
  const message =
    `Tensor ${quote(name)} has the shape of the W_h of ${cell === 'gru' ? 'a gru' : 'an lstm'}, ` +
    `(H, ${GATES[cell].length}H), expected (H, H): without a description, these names are of one ` +
    `tanh layer. ${adviceToDescribe([{ type: cell, name: '' }])}`;
  return refusal('layers_unconfirmed', [name], message);
}
