import { type Refusal, tensor, testRefusals, torch, without } from './checkpoints.ts';

const REFUSALS: readonly Refusal[] = [
  [
    'a norm in place of a Linear',
    { ...torch, 'norm.weight': tensor(3), 'norm.bias': tensor(3) },
    'unknown_tensors',
    '/norm.weight',
    /"norm\.weight" is of a normalisation, which is not computed/,
  ],
  [
    'an embedding that has the shape of a readout',
    { ...torch, 'embedding.weight': tensor(7, 3) },
    'unknown_tensors',
    '/embedding.weight',
    /"embedding\.weight" is of an embedding, .* look up its rows before the call/,
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
    /"bn\.running_mean" is of a batch normalisation, .* fold it/,
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
