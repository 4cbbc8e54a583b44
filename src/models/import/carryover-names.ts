// This server's own names: W_x (D, H), W_h (H, H), b (H) or (1, H), W_y (H, O), b_y (O).
import { quote } from '../../codec/safetensors/quote.ts';
import type { Convention } from './convention.ts';
import type { Layer } from './layer.ts';
import { expectNoGates } from './layer-shapes.ts';
import { refusal } from './refusal.ts';
import type { UnclaimedTensors } from './unclaimed-tensors.ts';

export const CARRYOVER_NAMES: Convention = {
  title: 'ours',
  pattern: /^(?:W_x|W_h|b|W_y|b_y)$/,
  canonicalName: (name) => name,
  read: readCarryover,
  accepts: 'W_x, W_h, b, W_y, b_y',
};

function readCarryover(tensors: UnclaimedTensors, readout: string | undefined): Layer {
  const why = 'a layer has both W_x and W_h';
  const W_x = tensors.require('W_x', 'DH', why);
  const W_h = tensors.require('W_h', 'HH', why);
  expectNoGates({ W_x, W_h, isTransposed: false });
  const b = tensors.take('b', tensors.shapeOf('b')?.length === 2 ? '1H' : 'H');
  const hasReadout = tensors.has('W_y') || tensors.has('b_y');
  const W_y = hasReadout ? tensors.require('W_y', 'HO', 'b_y needs it') : undefined;
  const b_y = tensors.take('b_y', 'O');
  const expected = 'nothing beside W_x, W_h, b, W_y and b_y';
  tensors.expectNone(expected);
  if (readout !== undefined) {
    const message =
      `The readout is said to be ${quote(readout)}, but these names identify it: expected no readout ` +
      'beside W_x, W_h and b but W_y and b_y.';
    throw refusal('unknown_tensors', [readout], message);
  }
  return { W_x, W_h, b: b ? [b] : [], W_y, b_y, isTransposed: false };
}
