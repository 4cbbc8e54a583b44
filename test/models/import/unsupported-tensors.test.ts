import { type Refusal, tensor, testRefusals, torch, without } from './checkpoints.ts';

const REFUSALS: readonly Refusal[] = [
  [
    'a norm in place of a Linear',
    { ...torch, 'norm.weight': tensor(3), 'norm.bias': tensor(3) },
    'unknown_tensors',
    '/norm.weight',
    /"norm\.weight" is of a normalisation over features, which is not computed/,
  ],
  [
    'an embedding that has the shape of a readout',
    { ...torch, 'pos_embedding.weight': tensor(7, 3) },
    'unknown_tensors',
    '/pos_embedding.weight',
    /"pos_embedding\.weight" is of an embedding: one is computed, in front of all other layers, if its name is certain/,
  ],
  [
    'an attention layer',
    { ...torch, 'attention.out.weight': tensor(3, 3), 'attention.out.bias': tensor(3) },
    'unknown_tensors',
    '/attention.out.weight',
    /"attention\.out\.weight" is of an attention layer/,
  ],
  [
    'a batch normalisation',
    { ...torch, 'bn.weight': tensor(3), 'bn.bias': tensor(3), 'bn.running_mean': tensor(3) },
    'unknown_tensors',
    '/bn.weight',
    /"bn\.running_mean" is of a batch normalisation, .* as \{"type":"affine","name":"its path","eps":0\.00001\} in \?layers=/,
  ],
  [
    'a convolution in front',
    { ...torch, 'conv1.weight': tensor(2, 2, 3), 'conv1.bias': tensor(2) },
    'unknown_tensors',
    '/conv1.weight',
    /"conv1\.weight" is of a convolution, which is not computed/,
  ],
  [
    'an LSTM with proj_size',
    { weight_ih_l0: tensor(12, 2), weight_hh_l0: tensor(12, 2), weight_hr_l0: tensor(2, 3) },
    'unknown_tensors',
    '/weight_hr_l0',
    /"weight_hr_l0" is the projection of an LSTM \(proj_size\), which is not computed/,
  ],
  [
    'weight_norm, as torch had it',
    {
      ...without(torch, 'rnn.weight_hh_l0'),
      'rnn.weight_hh_l0_g': tensor(3, 1),
      'rnn.weight_hh_l0_v': tensor(3, 3),
    },
    'unknown_tensors',
    '/rnn.weight_hh_l0',
    /"rnn\.weight_hh_l0_g" is a part .* torch\.nn\.utils\.remove_weight_norm\(module, "weight_hh_l0"\)/,
  ],
  [
    'weight_norm of a Linear',
    { ...torch, 'head.weight_g': tensor(1, 1), 'head.weight_v': tensor(1, 3) },
    'unknown_tensors',
    '/head.weight_g',
    /"head\.weight_g" is a part .* torch\.nn\.utils\.remove_weight_norm\(module, "weight"\)/,
  ],
  [
    'weight_norm, as torch has it',
    { 'rnn.parametrizations.weight_hh_l0.original0': tensor(3, 1) },
    'unknown_tensors',
    '/rnn.parametrizations.weight_hh_l0.original0',
    /torch\.nn\.utils\.parametrize\.remove_parametrizations\(module, "weight_hh_l0"\)/,
  ],
];

testRefusals('a checkpoint that is refused with advice', REFUSALS);
