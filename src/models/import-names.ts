// One recurrent layer from a file, whoever named its tensors, in our layout:
//
//   h_t = tanh(x_t W_x + h_{t-1} W_h + b), y = h W_y + b_y
//
//            W_x                  W_h                      b                 W_y, b_y
//   ours     W_x (D, H)           W_h (H, H)               b (H) or (1, H)   W_y (H, O), b_y (O)
//   torch    weight_ih_l0 (H, D)  weight_hh_l0 (H, H)      bias_ih_l0 (H) +  a Linear's weight (O, H)
//            transposed           transposed               bias_hh_l0 (H)    transposed, its bias (O)
//   RNNCell  weight_ih            weight_hh                bias_ih + bias_hh     as in torch
//   Keras    kernel (D, H)        recurrent_kernel (H, H)  bias (H)          a Dense's kernel (H, O),
//   Keras 3  cell/vars/0          cell/vars/1              cell/vars/2       its bias (O)
//
// The names alone tell the layout, never the shapes: W_h is square, and so is W_x where D = H, so a
// matrix that should have been transposed would go unnoticed. Nothing is guessed: a tensor whose part
// is not certain is refused with its name.
import { quote } from '../codec/safetensors/quote.ts';
import type { SafeTensor } from '../codec/safetensors/read.ts';
import type { CarryoverError } from '../errors.ts';
import { expectTanh } from './import-activation.ts';
import { hintAbout } from './import-hints.ts';
import {
  type ImportedModel,
  type Layer,
  expectNoGates,
  expectShapesAgree,
  originsOf,
  toOurLayout,
} from './import-layer.ts';
import { READOUT_NAMES, adviceOn, takeDense, takeLinear } from './import-readout.ts';
import { list, refusal } from './import-refusal.ts';
import { TensorsLeft } from './import-tensors.ts';

/** What the names of a file cannot tell. */
export interface ImportOptions {
  readonly activation?: string | undefined;
  /** The name of the Linear or Dense layer that computes y from h, e.g. `head` for `head.weight`. */
  readonly readout?: string | undefined;
}

export interface Import {
  readonly model: ImportedModel;
  /** What each tensor of ours was made of, e.g. `rnn.weight_ih_l0 (transposed)`. */
  readonly tensors: Readonly<Record<string, string>>;
}

/**
 * The result may share memory with `tensors`: what needs no change is not copied.
 *
 * @throws unknown_tensors · activation_unconfirmed · activation_unsupported · shape_mismatch · out_of_range
 */
export function importTensors(
  tensors: ReadonlyMap<string, SafeTensor>,
  { activation, readout }: ImportOptions = {},
): Import {
  const { spell, read, untold } = recognise(tensors);
  const layer = read(new TensorsLeft(tensors, spell), readout);
  expectShapesAgree(layer);
  expectTanh(activation, untold);
  return { model: toOurLayout(layer), tensors: originsOf(layer) };
}

interface Convention {
  readonly title: string;
  /** Names that no other convention has; `bias` alone would fit two. */
  readonly pattern: RegExp;
  /** A name → its plain spelling, by which `read` takes it. */
  readonly spell: (name: string) => string;
  /** @throws unknown_tensors */
  readonly read: (tensors: TensorsLeft, readout: string | undefined) => Layer;
  /** The layer, if its names do not tell the activation. */
  readonly untold?: string;
  /** What it accepts, as a list in a sentence. */
  readonly accepts: string;
}

const TORCH_NAME = /(?:weight|bias)_[ih]h(?:_l\d+(?:_reverse)?)?$/;
const KERAS_NAME = /(?:^|[/.])(?:(?:recurrent_)?kernel(?::0)?|cell[/.]vars[/.][012])$/;

const CONVENTIONS: readonly Convention[] = [
  {
    title: 'ours',
    pattern: /^(?:W_x|W_h|b|W_y|b_y)$/,
    spell: (name) => name,
    read: readOurs,
    accepts: 'W_x, W_h, b, W_y, b_y',
  },
  {
    title: 'torch',
    pattern: TORCH_NAME,
    spell: (name) => name,
    read: readTorch,
    untold: 'a torch RNN',
    accepts:
      'weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0 behind one prefix (of an RNNCell without ' +
      '_l0), and one Linear, <prefix>.weight and <prefix>.bias',
  },
  {
    title: 'Keras',
    pattern: KERAS_NAME,
    spell: spellKeras,
    read: readKeras,
    untold: 'a Keras SimpleRNN',
    accepts:
      'kernel, recurrent_kernel, bias (or cell/vars/0, 1, 2) behind one path, and one Dense',
  },
];

function recognise(tensors: ReadonlyMap<string, SafeTensor>): Convention {
  const names = [...tensors.keys()];
  const first = (convention: Convention) => names.find((name) => convention.pattern.test(name));
  const found = CONVENTIONS.filter((convention) => first(convention) !== undefined);
  if (found.length === 1) return found[0]!;
  const accepted = CONVENTIONS.map(({ title, accepts }) => `${accepts} (${title})`).join('; or ');
  if (found.length === 0) {
    const message = `The file has the tensors ${list(names)}, expected ${accepted}.`;
    throw refusal('unknown_tensors', names, `${message}${hintAbout(names, quote)}`);
  }
  const mixed = found.map((convention) => `${quote(first(convention)!)} (${convention.title})`);
  throw refusal(
    'unknown_tensors',
    found.map((convention) => first(convention)!),
    `The file mixes names: ${mixed.join(' and ')}, expected one of ${accepted}.`,
  );
}

function readOurs(tensors: TensorsLeft, readout: string | undefined): Layer {
  const why = 'a layer has both W_x and W_h';
  const W_x = tensors.need('W_x', 'DH', why);
  const W_h = tensors.need('W_h', 'HH', why);
  expectNoGates({ W_x, W_h, transposed: false });
  const b = tensors.take('b', tensors.shapeOf('b')?.length === 2 ? '1H' : 'H');
  const hasReadout = tensors.has('W_y') || tensors.has('b_y');
  const W_y = hasReadout ? tensors.need('W_y', 'HO', 'b_y needs it') : undefined;
  const b_y = tensors.take('b_y', 'O');
  const expected = 'nothing beside W_x, W_h, b, W_y and b_y';
  tensors.expectNone(expected);
  if (readout !== undefined) {
    const message =
      `The readout is said to be ${quote(readout)}, but these names tell it: expected no readout ` +
      'beside W_x, W_h and b but W_y and b_y.';
    throw refusal('unknown_tensors', [readout], message);
  }
  return { W_x, W_h, b: b ? [b] : [], W_y, b_y, transposed: false };
}

/** torch multiplies by the transposes, x W_ih^T + b_ih + h W_hh^T + b_hh, and has two biases. */
function readTorch(tensors: TensorsLeft, readout: string | undefined): Layer {
  const names = tensors.matching(TORCH_NAME);
  const other = names.find((name) => !/_(?:[ih]h|l0)$/.test(name));
  if (other !== undefined) throw anotherLayer(other, 'names that end in _l0');
  const prefix = onePrefix(names, TORCH_NAME);
  const end = names[0]!.endsWith('_l0') ? '_l0' : '';

  const why = `a torch RNN has both weight_ih${end} and weight_hh${end}`;
  const W_x = tensors.need(`${prefix}weight_ih${end}`, 'HD', why);
  const W_h = tensors.need(`${prefix}weight_hh${end}`, 'HH', why);
  expectNoGates({ W_x, W_h, transposed: true });
  const biases = [`${prefix}bias_ih${end}`, `${prefix}bias_hh${end}`];
  const hasBias = biases.some((name) => tensors.has(name));
  const whyBias = 'a torch RNN has both biases or none';
  const b = hasBias ? biases.map((name) => tensors.need(name, 'H', whyBias)) : [];
  const { W_y, b_y } = takeLinear(tensors, prefix, readout);
  tensors.expectNone(
    'nothing beside the weights and biases of one RNN layer and of at most one Linear that is ' +
      `certainly the readout: one named ${READOUT_NAMES.join(', ')}, or the one that \`readout\` names`,
    adviceOn(tensors, /\.weight$/, 'Linear'),
  );
  return { W_x, W_h, b, W_y, b_y, transposed: true };
}

function readKeras(tensors: TensorsLeft, readout: string | undefined): Layer {
  // A Dense layer has a kernel and a bias too: the recurrent kernel tells which ones are meant.
  const end = /(?<=^|[/.])recurrent_kernel$/;
  const recurrent = tensors.matching(end);
  const prefix =
    recurrent.length > 0
      ? onePrefix(recurrent, end)
      : (tensors.matching(KERAS_NAME)[0]?.replace(/kernel$/, '') ?? '');

  const why = 'a Keras SimpleRNN has both kernel and recurrent_kernel';
  const W_x = tensors.need(`${prefix}kernel`, 'DH', why);
  const W_h = tensors.need(`${prefix}recurrent_kernel`, 'HH', why);
  expectNoGates({ W_x, W_h, transposed: false });
  const b = tensors.take(`${prefix}bias`, 'H');
  const { W_y, b_y } = takeDense(tensors, readout);
  tensors.expectNone(
    'nothing beside kernel, recurrent_kernel and bias of one SimpleRNN and the Dense that `readout` names',
    adviceOn(tensors, /[/.](?:kernel|vars[/.]0)$/, 'Dense'),
  );
  return { W_x, W_h, b: b ? [b] : [], W_y, b_y, transposed: false };
}

const KERAS_3_VARIABLES = ['kernel', 'recurrent_kernel', 'bias'];

/** Keras 2 appends `:0`; Keras 3 numbers the variables of a cell in the order in which it makes them. */
function spellKeras(name: string): string {
  return name
    .replace(/:0$/, '')
    .replace(/(?<=(?:^|[/.])cell[/.])vars[/.]([012])$/, (_, k: string) => KERAS_3_VARIABLES[Number(k)]!);
}

/** What stands before `end` in all of the names. @throws unknown_tensors if it is not the same */
function onePrefix(names: readonly string[], end: RegExp): string {
  const prefix = names[0]!.replace(end, '');
  const other = names.find((name) => name.replace(end, '') !== prefix);
  if (other === undefined) return prefix;
  throw anotherLayer(other, `names that begin as ${quote(names[0]!)} does`);
}

function anotherLayer(name: string, expected: string): CarryoverError {
  return refusal(
    'unknown_tensors',
    [name],
    `Tensor ${quote(name)} is of another layer or direction, expected only ${expected}: ` +
      'one tanh RNN layer in one direction is supported.',
  );
}
