// The weights of layers of Keras. Matrices stand as ours do, but the gates of a GRU as z, r, n; those of an LSTM stand
// in our order, which Keras calls i, f, c, o:
//
//   kernel (D, G H), recurrent_kernel (H, G H), bias (G H), or (2, G H) of a GRU with reset after
//   kernel (I, O), bias (O) of a Dense; embeddings (V, D) of an Embedding; in a file of Keras 3 vars/0 and vars/1
//   gamma, beta, moving_mean, moving_variance (D) of a BatchNormalization, only where it is described
//
//   <layer>/kernel, <layer>/cell/kernel, <layer>/lstm_cell/kernel     of one direction
//   <layer>/forward_lstm/…, <layer>/backward_lstm/…                   of a Bidirectional
import { invalidRequest } from '../../errors.ts';
import type { CellType } from '../../layers.ts';
import { canonicalPrefix } from './canonical-name.ts';
import type { Convention } from './convention.ts';
import type { DescribedLayer, LayerType } from './description.ts';
import { claimKerasEmbedding } from './embedding-names.ts';
import { type KerasModule, cellNamedBy, kerasModules, modulesAt } from './keras-paths.ts';
import { type FoundBias, type FoundDirection, type FoundLayer, type FoundRecurrent, axesOf, cellOf } from './layer.ts';
import { expectCell } from './layer-shapes.ts';
import { LayerTensors } from './layer-tensors.ts';
import { adviceOnReadout, claimDense } from './readout.ts';
import { listNames, refusal } from './refusal.ts';
import {
  type DescribedModule,
  adviceToDescribe,
  claimNorm,
  expectDirection,
  expectNoneNamed,
  expectReset,
  orderUnconfirmed,
  statedActivation,
  statedRnnActivation,
} from './stated.ts';
import type { UnclaimedTensors } from './unclaimed-tensors.ts';

const KERAS_NAME = /(?:^|[/.])(?:(?:recurrent_)?kernel|cell[/.]bias)$/;
const LAYOUT = { isTransposed: false };
const KINDS = { rnn: 'a Keras SimpleRNN', gru: 'a Keras GRU', lstm: 'a Keras LSTM' } as const;
const NO_BIAS = 'a Keras GRU without biases has the same tensors with each';
/** The numbers of variables in a file of Keras 3. */
const VARIABLES: Partial<Record<LayerType, Readonly<Record<string, number>>>> = {
  embedding: { embeddings: 0 },
  dense: { kernel: 0, bias: 1 },
  affine: { gamma: 0, beta: 1, moving_mean: 2, moving_variance: 3 },
};

const RECURRENT_ROLES = ['kernel', 'recurrent_kernel', 'bias'];

export const KERAS_NAMES: Convention = {
  title: 'Keras',
  pattern: KERAS_NAME,
  read: readKeras,
  roles: {
    embedding: ['embeddings'],
    affine: ['gamma', 'beta', 'moving_mean', 'moving_variance'],
    dense: ['kernel', 'bias'],
    rnn: RECURRENT_ROLES,
    gru: RECURRENT_ROLES,
    lstm: RECURRENT_ROLES,
  },
  keyOf,
  has: (tensors, layer) => {
    const key = keyOf(layer.type).slice(1);
    if (key !== 'recurrent_kernel') return tensorsOf(tensors, layer).has(key);
    if (layer.tensors.has(key)) return true;
    return layer.name !== undefined && modulesAt(tensors, pathOf(layer.name)).length > 0;
  },
  claim: claimKeras,
  accepts: 'kernel, recurrent_kernel, bias (or cell/vars/0, 1, 2) behind one path, and one Embedding and one Dense',
};

function keyOf(type: LayerType): string {
  if (type === 'embedding') return '/embeddings';
  if (type === 'affine') return '/moving_mean';
  return type === 'dense' ? '/kernel' : '/recurrent_kernel';
}

function readKeras(tensors: UnclaimedTensors, readout: string | undefined): FoundLayer[] {
  const modules = kerasModules(tensors);
  if (modules.length > 1) throw severalModules(tensors, modules);
  const module = modules[0] ?? moduleWithoutKernel(tensors);
  if (module.isHalf) throw halfMissing(tensors, module);
  const recurrent = { ...claimModule(tensors, module, cellNamedBy(module.forward)), unstated: '' };
  recurrent.unstated = KINDS[recurrent.type];
  if (recurrent.type === 'gru' && recurrent.reset === undefined) throw resetUnknown(tensors, module);
  const embedding = claimKerasEmbedding(tensors);
  const head = claimDense(tensors, readout, LAYOUT);
  const described = [{ type: recurrent.type, name: module.path }];
  tensors.expectNone(
    'nothing beside the tensors of one recurrent layer, an Embedding in front of it and the Dense that `readout` names',
    adviceOnReadout(tensors, /[/.](?:kernel|vars[/.]0)$/, 'Dense', described),
  );
  if (recurrent.backward && head.length === 0) throw mergeUnknown(tensors, module, described);
  return [...embedding, recurrent, ...head];
}

function claimKeras(tensors: UnclaimedTensors, layer: DescribedLayer): FoundLayer[] {
  const { type } = layer;
  const parts = tensorsOf(tensors, layer);
  switch (type) {
    case 'embedding':
      return [{ type, E: parts.require('embeddings', ['V', 'D'], '') }];
    case 'affine': {
      const roles = { mean: 'moving_mean', variance: 'moving_variance', weight: 'gamma', bias: 'beta' };
      return [claimNorm(parts, layer, roles)];
    }
    case 'dense': {
      const activation = statedActivation(layer, 'a Keras Dense', ['linear', 'relu', 'tanh', 'sigmoid', 'softmax']);
      const W = parts.require('kernel', ['I', 'O'], '');
      return [{ type, activation, layout: LAYOUT, W, b: parts.take('bias', ['O']) }];
    }
    default:
      return [withStated(claimDescribed(tensors, layer), layer)];
  }
}

function claimDescribed(tensors: UnclaimedTensors, layer: DescribedLayer): FoundRecurrent {
  const type = layer.type as CellType;
  if (!layer.tensors.has('recurrent_kernel')) {
    expectNoneNamed(layer, 'recurrent_kernel');
    const modules = modulesAt(tensors, pathOf(layer.name!));
    if (modules.length === 1) return claimModule(tensors, modules[0]!, type);
    const paths = modules.map(({ forward }) => forward.slice(0, -1));
    throw invalidRequest(`${layer.place}.name is the path of several cells, expected that of one: ${listNames(paths)}.`);
  }
  const direction = (named: ReadonlyMap<string, string>) => {
    const parts = new LayerTensors(tensors, () => undefined, named, layer.place);
    return claimDirection(parts, type);
  };
  const forward = direction(layer.tensors);
  return join(forward, layer.backward.size > 0 ? direction(layer.backward) : undefined);
}

function withStated(found: FoundRecurrent, layer: DescribedLayer): FoundRecurrent {
  const direction = expectDirection(layer, found.backward !== undefined);
  if (found.type === 'rnn') return { ...found, direction, activation: statedRnnActivation(layer, KINDS.rnn) };
  if (found.type === 'lstm') return { ...found, direction };
  const { reset } = found;
  const why = reset === undefined ? NO_BIAS : `its bias is of the shape that a Keras GRU has with reset ${reset}`;
  return { ...found, direction, reset: expectReset(layer, reset, why) };
}

/** @param said the cell, if it is stated or named */
function claimModule(tensors: UnclaimedTensors, module: KerasModule, said?: CellType): FoundRecurrent {
  const direction = (cell: string, type: CellType | undefined) =>
    claimDirection(new LayerTensors(tensors, (role) => `${cell}${role}`), type);
  const forward = direction(module.forward, said);
  return join(forward, module.backward === undefined ? undefined : direction(module.backward, forward.type));
}

type ClaimedDirection = ReturnType<typeof claimDirection>;

function join(forward: ClaimedDirection, backward: ClaimedDirection | undefined): FoundRecurrent {
  const { type, found, reset } = forward;
  const layout = type === 'gru' ? { ...LAYOUT, gates: ['z', 'r', 'n'] } : LAYOUT;
  if (backward && backward.reset !== reset) {
    const names = [found.W_h.name, backward.found.W_h.name];
    const message = `The directions of ${listNames(names)} have biases of different shapes, expected the same.`;
    throw refusal('shape_mismatch', names, message);
  }
  const direction = backward ? 'bidirectional' : 'forward';
  return { type, direction, layout, reset, weights: found, backward: backward?.found };
}

/** The tensors of one direction, the cell that they are of, and the reset if its bias tells it. */
function claimDirection(parts: LayerTensors, said: CellType | undefined) {
  const why = `${KINDS[said ?? 'rnn']} has both kernel and recurrent_kernel`;
  const W_x = parts.require('kernel', [], why);
  const W_h = parts.require('recurrent_kernel', [], why);
  const type = expectCell(W_h, LAYOUT, said);
  const axes = axesOf(type, LAYOUT);
  const rows = type === 'gru' && parts.shapeOf('bias')?.length === 2 ? 2 : 1;
  const from = parts.take('bias', rows === 2 ? ['2', ...axes.b] : axes.b);
  const b: FoundBias | undefined = from && { from, start: 0 };
  const b_h: FoundBias | undefined = from && rows === 2 ? { from, start: from.tensor.shape[1]! } : undefined;
  const found: FoundDirection = { W_x: { ...W_x, axes: axes.W_x }, W_h: { ...W_h, axes: axes.W_h }, b, b_h };
  const reset = type === 'gru' && from ? (rows === 2 ? ('after' as const) : ('before' as const)) : undefined;
  return { type, found, reset };
}

function tensorsOf(tensors: UnclaimedTensors, layer: DescribedLayer): LayerTensors {
  const { type, name, place } = layer;
  const path = name === undefined ? undefined : pathOf(name);
  const canonicalOf = (role: string) => {
    if (path === undefined) return undefined;
    const variable = VARIABLES[type]?.[role];
    const inPath = [`/${role}`, `.${role}`, `/vars/${variable}`, `.vars.${variable}`];
    const spellings = path === '' ? [role] : inPath.map((end) => `${path}${end}`);
    return spellings.find((spelling) => tensors.has(spelling)) ?? spellings[0];
  };
  return new LayerTensors(tensors, canonicalOf, layer.tensors, place);
}

const pathOf = (name: string) => canonicalPrefix(name, '.').slice(0, -1);

/** Its tensors are then missing. A Dense has a kernel and a bias, too; only a recurrent layer has a recurrent kernel. */
function moduleWithoutKernel(tensors: UnclaimedTensors): KerasModule {
  const forward = tensors.matching(/(?:^|[/.])kernel$/)[0]?.replace(/kernel$/, '') ?? '';
  return { path: forward.slice(0, -1), forward, isHalf: false };
}

function severalModules(tensors: UnclaimedTensors, modules: readonly KerasModule[]) {
  return orderUnconfirmed(
    modules.map(({ path, forward }) => {
      const W_h = tensors.take(`${forward}recurrent_kernel`, [])!;
      return { type: cellOf(W_h, LAYOUT) ?? 'rnn', name: path, tensor: W_h.name };
    }),
  );
}

function halfMissing(tensors: UnclaimedTensors, { path, forward }: KerasModule) {
  const name = tensors.nameInFile(`${forward}recurrent_kernel`);
  const message =
    `${listNames([name])} is of one direction of a Bidirectional, and the other is missing: expected both, ` +
    `or a description of the layers if ${listNames([path])} is a layer by itself.`;
  return refusal('unknown_tensors', [name], message);
}

function resetUnknown(tensors: UnclaimedTensors, { path, forward }: KerasModule) {
  const name = tensors.nameInFile(`${forward}recurrent_kernel`);
  const message =
    `The file does not say the reset of ${listNames([path])}: ${NO_BIAS}. ` +
    `${adviceToDescribe([{ type: 'gru', name: path }])} Its layer needs "reset": "after" or "before".`;
  return refusal('layers_unconfirmed', [name], message);
}

function mergeUnknown(tensors: UnclaimedTensors, { forward }: KerasModule, described: readonly DescribedModule[]) {
  const name = tensors.nameInFile(`${forward}recurrent_kernel`);
  const message =
    'The file does not say how a Bidirectional of Keras joins its two outputs, and no layer behind it tells; only ' +
    `outputs side by side (merge_mode "concat") are computed. ${adviceToDescribe(described)}`;
  return refusal('layers_unconfirmed', [name], message);
}
