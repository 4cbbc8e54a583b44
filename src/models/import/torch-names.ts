// The state dict of a torch.nn.RNN or RNNCell, and of a torch.nn.Linear as its readout. torch stores the
// transposes of our matrices, and two biases that are only ever added:
//
//   x W_ih^T + b_ih + h W_hh^T + b_hh
//
//   weight_ih_l0 (H, D), weight_hh_l0 (H, H), bias_ih_l0 (H), bias_hh_l0 (H); of an RNNCell without _l0
//   <path>.weight (O, H), <path>.bias (O) of the Linear
import { type Convention, anotherLayer, commonPrefix } from './convention.ts';
import type { Layer } from './layer.ts';
import { expectNoGates } from './layer-shapes.ts';
import { READOUT_NAMES, adviceOnReadout, claimLinear } from './readout.ts';
import type { UnclaimedTensors } from './unclaimed-tensors.ts';

const TORCH_NAME = /(?:weight|bias)_[ih]h(?:_l\d+(?:_reverse)?)?$/;

export const TORCH_NAMES: Convention = {
  title: 'torch',
  pattern: TORCH_NAME,
  canonicalName: (name) => name,
  read: readTorch,
  ambiguousLayer: 'a torch RNN',
  accepts:
    'weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0 behind one prefix (of an RNNCell without ' +
    '_l0), and one Linear, <prefix>.weight and <prefix>.bias',
};

function readTorch(tensors: UnclaimedTensors, readout: string | undefined): Layer {
  const names = tensors.matching(TORCH_NAME);
  const other = names.find((name) => !/_(?:[ih]h|l0)$/.test(name));
  if (other !== undefined) throw anotherLayer(other, 'names that end in _l0');
  const prefix = commonPrefix(names, TORCH_NAME);
  const suffix = names[0]!.endsWith('_l0') ? '_l0' : '';

  const why = `a torch RNN has both weight_ih${suffix} and weight_hh${suffix}`;
  const W_x = tensors.require(`${prefix}weight_ih${suffix}`, 'HD', why);
  const W_h = tensors.require(`${prefix}weight_hh${suffix}`, 'HH', why);
  expectNoGates({ W_x, W_h, isTransposed: true });
  const biases = [`${prefix}bias_ih${suffix}`, `${prefix}bias_hh${suffix}`];
  const hasBias = biases.some((name) => tensors.has(name));
  const whyBias = 'a torch RNN has both biases or none';
  const b = hasBias ? biases.map((name) => tensors.require(name, 'H', whyBias)) : [];
  const { W_y, b_y } = claimLinear(tensors, prefix, readout);
  tensors.expectNone(
    'nothing beside the weights and biases of one RNN layer and of at most one Linear that is ' +
      `certainly the readout: one named ${READOUT_NAMES.join(', ')}, or the one that \`readout\` names`,
    adviceOnReadout(tensors, /\.weight$/, 'Linear'),
  );
  return { W_x, W_h, b, W_y, b_y, isTransposed: true };
}
