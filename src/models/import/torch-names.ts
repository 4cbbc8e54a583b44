// The state dict of modules of torch. torch stores the transposes of our matrices, and two biases, of which all but
// those of n in a GRU are only ever added:
//
//   weight_ih_l0 (G H, D), weight_hh_l0 (G H, H), bias_ih_l0, bias_hh_l0 (G H); of an RNNCell, GRUCell, LSTMCell without
//   _l0; of the reverse direction with _reverse behind it; of the layers behind it in one module with _l1, _l2 …
//   <path>.weight (O, I), <path>.bias (O) of a Linear; <path>.weight (V, D) of an Embedding
//   <path>.weight, bias, running_mean, running_var (D) of a BatchNorm1d, only where it is described
import { quote } from '../../codec/safetensors/quote.ts';
import type { CellType } from '../../layers.ts';
import { canonicalPrefix } from './canonical-name.ts';
import type { Convention } from './convention.ts';
import type { DescribedLayer } from './description.ts';
import { claimTorchEmbedding } from './embedding-names.ts';
import { type FoundDirection, type FoundLayer, type FoundRecurrent, axesOf, cellOf } from './layer.ts';
import { expectCell, expectLayerCount } from './layer-shapes.ts';
import { LayerTensors } from './layer-tensors.ts';
import { READOUT_NAMES, adviceOnReadout, claimLinear } from './readout.ts';
import { refusal } from './refusal.ts';
import {
  claimNorm,
  expectDirection,
  expectNoneNamed,
  expectReset,
  orderUnconfirmed,
  statedRnnActivation,
} from './stated.ts';
import type { UnclaimedTensors } from './unclaimed-tensors.ts';
import { hintAbout } from './unsupported-tensors.ts';

const TORCH_NAME = /(?:weight|bias)_[ih]h(?:_l(?:0|[1-9]\d*)(?:_reverse)?)?$/;
const LAYOUT = { isTransposed: true };
const RNN = 'a torch RNN';
const GRU_RESET = 'a GRU of torch has reset after';

const RECURRENT_ROLES = ['weight_ih', 'weight_hh', 'bias_ih', 'bias_hh'];

export const TORCH_NAMES: Convention = {
  title: 'torch',
  pattern: TORCH_NAME,
  read: readTorch,
  roles: {
    embedding: ['weight'],
    affine: ['running_mean', 'running_var', 'weight', 'bias'],
    dense: ['weight', 'bias'],
    rnn: RECURRENT_ROLES,
    gru: RECURRENT_ROLES,
    lstm: RECURRENT_ROLES,
  },
  keyOf,
  has: (tensors, layer) => {
    const key = keyOf(layer.type).slice(1);
    if (key !== 'weight_ih_l0') return tensorsOf(tensors, layer).has(key);
    if (layer.tensors.has('weight_ih')) return true;
    return layer.name !== undefined && namesAt(tensors, canonicalPrefix(layer.name, '.')).length > 0;
  },
  claim: claimTorch,
  accepts:
    'weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0 behind one prefix (of a cell without _l0), and one Embedding ' +
    'and one Linear, <prefix>.weight and <prefix>.bias',
};

function keyOf(type: DescribedLayer['type']): string {
  if (type === 'affine') return '.running_mean';
  return type === 'embedding' || type === 'dense' ? '.weight' : '.weight_ih_l0';
}

function readTorch(tensors: UnclaimedTensors, readout: string | undefined): FoundLayer[] {
  const prefixes = [...new Set(tensors.matching(TORCH_NAME).map((name) => name.replace(TORCH_NAME, '')))];
  if (prefixes.length > 1) throw severalModules(tensors, prefixes);
  const [prefix] = prefixes as [string];
  const recurrent = claimModule(tensors, prefix).map((layer) =>
    layer.type === 'rnn' ? { ...layer, unstated: RNN } : layer,
  );
  const embedding = claimTorchEmbedding(tensors, prefix);
  const head = claimLinear(tensors, prefix, readout, LAYOUT);
  tensors.expectNone(
    'nothing beside the weights and biases of one recurrent module, an Embedding in front of it and a Linear behind ' +
      `it that is certainly the readout: one named ${READOUT_NAMES.join(', ')}, or the one that \`readout\` names`,
    adviceOnReadout(tensors, /\.weight$/, 'Linear', recurrent.map(({ type }) => ({ type, name: pathOf(prefix) }))),
  );
  return [...embedding, ...recurrent, ...head];
}

function claimTorch(tensors: UnclaimedTensors, layer: DescribedLayer): FoundLayer[] {
  const { type } = layer;
  const parts = tensorsOf(tensors, layer);
  switch (type) {
    case 'embedding':
      return [{ type, E: parts.require('weight', ['V', 'D'], '') }];
    case 'affine': {
      const counter = 'num_batches_tracked';
      const roles = { mean: 'running_mean', variance: 'running_var', weight: 'weight', bias: 'bias', counter };
      return [claimNorm(parts, layer, roles)];
    }
    case 'dense': {
      const W = parts.require('weight', ['O', 'I'], '');
      return [{ type, activation: layer.activation ?? 'linear', layout: LAYOUT, W, b: parts.take('bias', ['O']) }];
    }
    default:
      return claimDescribed(tensors, layer).map((found) => withStated(found, layer));
  }
}

function claimDescribed(tensors: UnclaimedTensors, layer: DescribedLayer): FoundRecurrent[] {
  const type = layer.type as CellType;
  if (!layer.tensors.has('weight_ih')) {
    expectNoneNamed(layer, 'weight_ih');
    return claimModule(tensors, canonicalPrefix(layer.name!, '.'), type);
  }
  const { found: weights } = claimDirection(tensorsOf(tensors, layer), '', type);
  if (layer.backward.size === 0) return [{ type, direction: 'forward', layout: LAYOUT, weights }];
  const named = tensorsOf(tensors, { ...layer, name: undefined }, layer.backward);
  const { found: backward } = claimDirection(named, '', type);
  return [{ type, direction: 'bidirectional', layout: LAYOUT, weights, backward }];
}

function withStated(found: FoundRecurrent, layer: DescribedLayer): FoundRecurrent {
  const direction = expectDirection(layer, found.backward !== undefined);
  if (found.type === 'rnn') return { ...found, direction, activation: statedRnnActivation(layer, RNN) };
  if (found.type === 'gru') return { ...found, direction, reset: expectReset(layer, 'after', GRU_RESET) };
  return { ...found, direction };
}

/** The layers of one module, in their order. @param said the cell, if it is stated */
function claimModule(tensors: UnclaimedTensors, prefix: string, said?: CellType): FoundRecurrent[] {
  expectNoProjection(tensors, prefix);
  const names = namesAt(tensors, prefix);
  const suffixes = names.map((name) => /(?:_l\d+)?(?:_reverse)?$/.exec(name)![0]);
  const layerNames = [...new Set(suffixes.map((suffix) => suffix.replace('_reverse', '')))];
  const isBidirectional = suffixes.some((suffix) => suffix.endsWith('_reverse'));
  const count = layerNames.length;
  expectLayerCount(count);
  const suffixOf = (k: number) => (layerNames[0] === '' && count === 1 ? '' : `_l${k}`);
  const parts = new LayerTensors(tensors, (role) => `${prefix}${role}`);
  const found: FoundRecurrent[] = [];
  for (let k = 0; k < count; k++) {
    const suffix = suffixOf(k);
    const { type, found: weights } = claimDirection(parts, suffix, said ?? found[0]?.type);
    const backward = isBidirectional ? claimDirection(parts, `${suffix}_reverse`, type).found : undefined;
    found.push({ type, direction: backward ? 'bidirectional' : 'forward', layout: LAYOUT, weights, backward });
  }
  return found;
}

/** The tensors of one direction, and the cell that they are of. */
function claimDirection(parts: LayerTensors, suffix: string, said: CellType | undefined) {
  const [ih, hh] = [`weight_ih${suffix}`, `weight_hh${suffix}`];
  const why = `a recurrent layer of torch has both ${ih} and ${hh}`;
  const W_x = parts.require(ih, [], why);
  const W_h = parts.require(hh, [], why);
  const type = expectCell(W_h, LAYOUT, said);
  const axes = axesOf(type, LAYOUT);
  const biases = [`bias_ih${suffix}`, `bias_hh${suffix}`];
  const hasBias = biases.some((role) => parts.has(role));
  const whyBias = 'a recurrent layer of torch has both biases or none';
  const [b, b_h] = hasBias ? biases.map((role) => ({ from: parts.require(role, axes.b, whyBias), start: 0 })) : [];
  const found: FoundDirection = { W_x: { ...W_x, axes: axes.W_x }, W_h: { ...W_h, axes: axes.W_h }, b, b_h };
  return { type, found };
}

/** Canonical names of the tensors of a module, claimed or not. */
function namesAt(tensors: UnclaimedTensors, prefix: string): string[] {
  return tensors.allAt(prefix, TORCH_NAME).filter((name) => name.replace(TORCH_NAME, '') === prefix);
}

function tensorsOf(tensors: UnclaimedTensors, layer: DescribedLayer, named = layer.tensors): LayerTensors {
  const { name, place } = layer;
  const prefix = name === undefined ? undefined : canonicalPrefix(name, '.');
  return new LayerTensors(tensors, (role) => (prefix === undefined ? undefined : `${prefix}${role}`), named, place);
}

/** @throws unknown_tensors for an LSTM with a projection */
function expectNoProjection(tensors: UnclaimedTensors, prefix: string): void {
  const [name] = tensors.allAt(`${prefix}weight_hr_l`, /weight_hr_l\d+(?:_reverse)?$/);
  if (name === undefined) return;
  const inFile = tensors.nameInFile(name);
  throw refusal('unknown_tensors', [inFile], `The file has ${quote(inFile)}.${hintAbout([inFile], quote)}`);
}

function severalModules(tensors: UnclaimedTensors, prefixes: readonly string[]) {
  const modules = prefixes.map((prefix) => {
    const W_h = tensors.take(`${prefix}weight_hh_l0`, []) ?? tensors.take(`${prefix}weight_hh`, []);
    return { type: (W_h && cellOf(W_h, LAYOUT)) ?? 'rnn', name: pathOf(prefix), tensor: W_h?.name ?? prefix };
  });
  return orderUnconfirmed(modules);
}

const pathOf = (prefix: string) => prefix.replace(/\.$/, '');
