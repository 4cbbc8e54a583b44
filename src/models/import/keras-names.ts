// The weights of a Keras SimpleRNN, and of a Dense layer as its readout. Their layout is ours:
//
//   kernel (D, H), recurrent_kernel (H, H), bias (H)     Keras 2 appends `:0` to each name
//   cell/vars/0, cell/vars/1, cell/vars/2                Keras 3, in the order in which it creates them
//   <path>/kernel or <path>/vars/0 (H, O), <path>/bias or <path>/vars/1 (O) of the Dense layer
import { type Convention, commonPrefix } from './convention.ts';
import type { Layer } from './layer.ts';
import { expectNoGates } from './layer-shapes.ts';
import { adviceOnReadout, claimDense } from './readout.ts';
import type { UnclaimedTensors } from './unclaimed-tensors.ts';

const KERAS_NAME = /(?:^|[/.])(?:(?:recurrent_)?kernel(?::0)?|cell[/.]vars[/.][012])$/;
/** By their numbers in Keras 3. */
const CELL_VARIABLES = ['kernel', 'recurrent_kernel', 'bias'];

export const KERAS_NAMES: Convention = {
  title: 'Keras',
  pattern: KERAS_NAME,
  canonicalName: canonicalKerasName,
  read: readKeras,
  ambiguousLayer: 'a Keras SimpleRNN',
  accepts: 'kernel, recurrent_kernel, bias (or cell/vars/0, 1, 2) behind one path, and one Dense',
};

function readKeras(tensors: UnclaimedTensors, readout: string | undefined): Layer {
  // A Dense layer has a kernel and a bias, too; only the recurrent layer has a recurrent kernel.
  const suffix = /(?<=^|[/.])recurrent_kernel$/;
  const recurrent = tensors.matching(suffix);
  const prefix =
    recurrent.length > 0
      ? commonPrefix(recurrent, suffix)
      : (tensors.matching(KERAS_NAME)[0]?.replace(/kernel$/, '') ?? '');

  const why = 'a Keras SimpleRNN has both kernel and recurrent_kernel';
  const W_x = tensors.require(`${prefix}kernel`, 'DH', why);
  const W_h = tensors.require(`${prefix}recurrent_kernel`, 'HH', why);
  expectNoGates({ W_x, W_h, isTransposed: false });
  const b = tensors.take(`${prefix}bias`, 'H');
  const { W_y, b_y } = claimDense(tensors, readout);
  tensors.expectNone(
    'nothing beside kernel, recurrent_kernel and bias of one SimpleRNN and the Dense that `readout` names',
    adviceOnReadout(tensors, /[/.](?:kernel|vars[/.]0)$/, 'Dense'),
  );
  return { W_x, W_h, b: b ? [b] : [], W_y, b_y, isTransposed: false };
}

/** A name without `:0`, and with the variable's name in place of its number. */
function canonicalKerasName(name: string): string {
  return name
    .replace(/:0$/, '')
    .replace(/(?<=(?:^|[/.])cell[/.])vars[/.]([012])$/, (_, k: string) => CELL_VARIABLES[Number(k)]!);
}
