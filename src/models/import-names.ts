// One recurrent layer from a file, whoever named its tensors, in our layout:
//
//   h_t = tanh(x_t W_x + h_{t-1} W_h + b), y = h W_y + b_y
//
//          W_x                  W_h                      b                 W_y, b_y
//   ours   W_x (D, H)           W_h (H, H)               b (H) or (1, H)   W_y (H, O), b_y (O)
//   torch  weight_ih_l0 (H, D)  weight_hh_l0 (H, H)      bias_ih_l0 (H) +  a Linear's weight (O, H)
//          transposed           transposed               bias_hh_l0 (H)    transposed, its bias (O)
//   Keras  kernel (D, H)        recurrent_kernel (H, H)  bias (H)
//
// The names alone tell the layout, never the shapes: W_h is square, and so is W_x where D = H, so a
// matrix that should have been transposed would go unnoticed.
import { type SafeTensor, quote, readSafetensors } from '../codec/safetensors.ts';
import type { CarryoverError } from '../errors.ts';
import {
  type ImportedModel,
  type Layer,
  type Part,
  list,
  refusal,
  toOurLayout,
} from './import-layer.ts';

/** @throws malformed_safetensors · unknown_tensors · shape_mismatch · out_of_range */
export function readModelFile(bytes: Uint8Array): ImportedModel {
  return importTensors(readSafetensors(bytes));
}

/**
 * The result may share memory with `tensors`: what needs no change is not copied.
 *
 * @throws unknown_tensors · shape_mismatch · out_of_range
 */
export function importTensors(tensors: ReadonlyMap<string, SafeTensor>): ImportedModel {
  return toOurLayout(recognise(tensors).read(new Names(tensors)));
}

interface Convention {
  readonly title: string;
  /** Names that no other convention has; `bias` alone would fit two. */
  readonly pattern: RegExp;
  readonly read: (names: Names) => Layer;
  /** What it accepts, as a list in a sentence. */
  readonly accepts: string;
}

const TORCH_NAME = /(?:weight|bias)_(?:ih|hh)_l\d+(?:_reverse)?$/;
const KERAS_NAME = /(?<=^|[/.])(?:recurrent_)?kernel$/;

const CONVENTIONS: readonly Convention[] = [
  {
    title: 'ours',
    pattern: /^(?:W_x|W_h|b|W_y|b_y)$/,
    read: readOurs,
    accepts: 'W_x, W_h, b, W_y, b_y',
  },
  {
    title: 'torch',
    pattern: TORCH_NAME,
    read: readTorch,
    accepts:
      'weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0 behind one prefix, ' +
      'and one Linear, <prefix>.weight and <prefix>.bias',
  },
  {
    title: 'Keras',
    pattern: KERAS_NAME,
    read: readKeras,
    accepts: 'kernel, recurrent_kernel, bias behind one path',
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
    throw refusal('unknown_tensors', names, message);
  }
  const mixed = found.map((convention) => `${quote(first(convention)!)} (${convention.title})`);
  throw refusal(
    'unknown_tensors',
    found.map((convention) => first(convention)!),
    `The file mixes names: ${mixed.join(' and ')}, expected one of ${accepted}.`,
  );
}

function readOurs(names: Names): Layer {
  const why = 'a layer has both W_x and W_h';
  const W_x = names.need('W_x', 'DH', why);
  const W_h = names.need('W_h', 'HH', why);
  const b = names.take('b', names.rankOf('b') === 2 ? '1H' : 'H');
  const hasReadout = names.has('W_y') || names.has('b_y');
  const W_y = hasReadout ? names.need('W_y', 'HO', 'b_y needs it') : undefined;
  const b_y = names.take('b_y', 'O');
  names.expectNoneLeft('nothing beside W_x, W_h, b, W_y and b_y');
  return { W_x, W_h, b: b ? [b] : [], W_y, b_y, transposed: false };
}

/** torch multiplies by the transposes, x W_ih^T + b_ih + h W_hh^T + b_hh, and has two biases. */
function readTorch(names: Names): Layer {
  const other = names.matching(TORCH_NAME).find((name) => !name.endsWith('_l0'));
  if (other !== undefined) throw anotherLayer(other, 'names that end in _l0');
  const prefix = names.onePrefix(TORCH_NAME);

  const why = 'a torch RNN has both weight_ih_l0 and weight_hh_l0';
  const W_x = names.need(`${prefix}weight_ih_l0`, 'HD', why);
  const W_h = names.need(`${prefix}weight_hh_l0`, 'HH', why);
  const biases = [`${prefix}bias_ih_l0`, `${prefix}bias_hh_l0`];
  const hasBias = biases.some((name) => names.has(name));
  const whyBias = 'a torch RNN has both biases or none';
  const b = hasBias ? biases.map((name) => names.need(name, 'H', whyBias)) : [];
  return { W_x, W_h, b, ...readLinear(names), transposed: true };
}

function readLinear(names: Names): Pick<Layer, 'W_y' | 'b_y'> {
  const linear = /\.(?:weight|bias)$/;
  const prefix = names.matching(linear).length > 0 ? names.firstPrefix(linear) : undefined;
  const W_y =
    prefix === undefined
      ? undefined
      : names.need(`${prefix}.weight`, 'OH', 'the bias of a Linear needs it');
  const b_y = prefix === undefined ? undefined : names.take(`${prefix}.bias`, 'O');
  names.expectNoneLeft(
    'nothing beside the weights and biases of one RNN layer and of at most one Linear',
  );
  return { W_y, b_y };
}

function readKeras(names: Names): Layer {
  // A Dense layer has a kernel and a bias too: the recurrent kernel tells which ones are meant.
  const recurrent = /(?<=^|[/.])recurrent_kernel$/;
  const isThere = names.matching(recurrent).length > 0;
  const prefix = isThere ? names.onePrefix(recurrent) : names.firstPrefix(KERAS_NAME);

  const why = 'a Keras SimpleRNN has both kernel and recurrent_kernel';
  const W_x = names.need(`${prefix}kernel`, 'DH', why);
  const W_h = names.need(`${prefix}recurrent_kernel`, 'HH', why);
  const b = names.take(`${prefix}bias`, 'H');
  names.expectNoneLeft('nothing beside kernel, recurrent_kernel and bias of one SimpleRNN');
  return { W_x, W_h, b: b ? [b] : [], transposed: false };
}

/** The tensors of a file that have no meaning yet: each is taken once, and none may be left. */
class Names {
  readonly #all: ReadonlyMap<string, SafeTensor>;
  readonly #left: Map<string, SafeTensor>;

  constructor(tensors: ReadonlyMap<string, SafeTensor>) {
    this.#all = tensors;
    this.#left = new Map(tensors);
  }

  has(name: string): boolean {
    return this.#left.has(name);
  }

  rankOf(name: string): number | undefined {
    return this.#left.get(name)?.shape.length;
  }

  matching(pattern: RegExp): string[] {
    return [...this.#left.keys()].filter((name) => pattern.test(name));
  }

  /** What stands before `pattern` in the first name that has it. */
  firstPrefix(pattern: RegExp): string {
    return this.matching(pattern)[0]!.replace(pattern, '');
  }

  /** As firstPrefix, and it must be the same wherever `pattern` is found. */
  onePrefix(pattern: RegExp): string {
    const prefix = this.firstPrefix(pattern);
    const other = this.matching(pattern).find((name) => name.replace(pattern, '') !== prefix);
    if (other === undefined) return prefix;
    const first = this.matching(pattern)[0]!;
    throw anotherLayer(other, `names that begin as ${quote(first)} does`);
  }

  take(name: string, axes: string): Part | undefined {
    const tensor = this.#left.get(name);
    this.#left.delete(name);
    return tensor && { name, tensor, axes };
  }

  need(name: string, axes: string, why: string): Part {
    const part = this.take(name, axes);
    if (part) return part;
    throw refusal(
      'unknown_tensors',
      [name],
      `Tensor ${quote(name)} is missing: ${why}. The file has ${list([...this.#all.keys()])}.`,
    );
  }

  expectNoneLeft(expected: string): void {
    const left = [...this.#left.keys()];
    if (left.length === 0) return;
    const message = `The file also has ${list(left)}, expected ${expected}.`;
    throw refusal('unknown_tensors', left, message);
  }
}

function anotherLayer(name: string, expected: string): CarryoverError {
  return refusal(
    'unknown_tensors',
    [name],
    `Tensor ${quote(name)} is of another layer or direction, expected only ${expected}: ` +
      'one tanh RNN layer in one direction is supported.',
  );
}
