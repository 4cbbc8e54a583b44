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
import {
  type SafeTensor,
  SafetensorsError,
  quote,
  readSafetensors,
} from '../codec/safetensors.ts';
import { CarryoverError, type ErrorCode } from '../errors.ts';
import { formatShape } from '../tensor.ts';

const NAMES_LISTED_MAX = 10;

export interface ImportedTensor {
  readonly shape: readonly number[];
  /** Row-major, every value finite. */
  readonly data: Float32Array;
}

export interface ImportedModel {
  /** (D, H) */
  readonly W_x: ImportedTensor;
  /** (H, H) */
  readonly W_h: ImportedTensor;
  /** (H,) */
  readonly b?: ImportedTensor;
  /** (H, O) */
  readonly W_y?: ImportedTensor;
  /** (O,); never without W_y. */
  readonly b_y?: ImportedTensor;
}

/** @throws malformed_safetensors · unknown_tensors · shape_mismatch · out_of_range */
export function readModelFile(bytes: Uint8Array): ImportedModel {
  return importTensors(readFile(bytes));
}

function readFile(bytes: Uint8Array): Map<string, SafeTensor> {
  try {
    return readSafetensors(bytes);
  } catch (cause) {
    if (!(cause instanceof SafetensorsError)) throw cause;
    throw new CarryoverError('malformed_safetensors', { detail: cause.message, cause });
  }
}

/**
 * The result may share memory with `tensors`: what needs no change is not copied.
 *
 * @throws unknown_tensors · shape_mismatch · out_of_range
 */
export function importTensors(tensors: ReadonlyMap<string, SafeTensor>): ImportedModel {
  const layer = recognise(tensors).read(new Names(tensors));
  expectNoGates(layer);
  expectShapesAgree(layer);
  return convert(layer);
}

/** A tensor of the file that has a meaning. */
interface Part {
  readonly name: string;
  readonly tensor: SafeTensor;
  /** Its axes in the file, e.g. `HD`; an axis that must be 1 is called `1`. */
  readonly axes: string;
}

interface Layer {
  readonly W_x: Part;
  readonly W_h: Part;
  /** Added up; none is no bias. */
  readonly b: readonly Part[];
  readonly W_y?: Part | undefined;
  readonly b_y?: Part | undefined;
  /** Whether the matrices of the file are the transposes of ours. */
  readonly transposed: boolean;
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

/** Gated cells have the names of an RNN, but their gates are stacked along the outputs. */
function expectNoGates({ W_x, W_h, transposed }: Layer): void {
  if (W_x.tensor.shape.length !== 2 || W_h.tensor.shape.length !== 2) return;
  const [outputs, inputs] = transposed ? ([0, 1] as const) : ([1, 0] as const);
  const H = W_h.tensor.shape[inputs]!;
  for (const [gates, cell] of [[4, 'an LSTM (4H)'], [3, 'a GRU (3H)']] as const) {
    const stacked = gates * H;
    if (stacked === 0 || W_x.tensor.shape[outputs] !== stacked) continue;
    if (W_h.tensor.shape[outputs] !== stacked) continue;
    throw refusal(
      'shape_mismatch',
      [W_x.name, W_h.name],
      `Tensor ${quote(W_x.name)} has shape ${describe(W_x)} and ${quote(W_h.name)} ` +
        `${describe(W_h)}, which looks like ${cell} of H = ${H}, expected a layer without gates: ` +
        'only tanh RNN layers are supported.',
    );
  }
}

/** What an axis must be, once a tensor has told it. */
interface Known {
  readonly size: number;
  readonly why: string;
}

function expectShapesAgree({ W_x, W_h, b, W_y, b_y }: Layer): void {
  const known = new Map<string, Known>([['1', { size: 1, why: 'a bias is one row' }]]);
  for (const part of [W_x, W_h, ...b, W_y, b_y]) if (part) expectShape(part, known);
}

/** Adds the axes that are new to `known`. */
function expectShape(part: Part, known: Map<string, Known>): void {
  const { name, tensor, axes } = part;
  const letters = axes.split('');
  if (tensor.shape.length !== letters.length) {
    const rank = letters.length === 1 ? 'a vector' : 'a matrix';
    throw wrongShape(part, `${rank}, ${formatShape(letters)}`);
  }
  if (tensor.shape.includes(0)) throw wrongShape(part, 'at least 1 along each axis');
  const expected = letters.map((axis) => known.get(axis)?.size ?? axis);
  const odd = letters.find((axis, i) => known.has(axis) && expected[i] !== tensor.shape[i]);
  if (odd !== undefined) {
    throw wrongShape(part, `${formatShape(expected)}, because ${known.get(odd)!.why}`);
  }
  for (const [i, axis] of letters.entries()) {
    if (known.has(axis)) continue;
    const size = tensor.shape[i]!;
    const shape = `${formatShape(letters)} = ${describe(part)}`;
    known.set(axis, { size, why: `${quote(name)} ${shape} makes ${axis} = ${size}` });
  }
}

function wrongShape(part: Part, expected: string): CarryoverError {
  const message = `Tensor ${quote(part.name)} has shape ${describe(part)}, expected ${expected}.`;
  return refusal('shape_mismatch', [part.name], message);
}

function convert({ W_x, W_h, b, W_y, b_y, transposed }: Layer): ImportedModel {
  const matrix = (part: Part) => (transposed ? transpose(toFloat32(part)) : toFloat32(part));
  return {
    W_x: matrix(W_x),
    W_h: matrix(W_h),
    ...(b.length > 0 && { b: addUp(b) }),
    ...(W_y && { W_y: matrix(W_y) }),
    ...(b_y && { b_y: toFloat32(b_y) }),
  };
}

function toFloat32({ name, tensor }: Part): ImportedTensor {
  const { shape } = tensor;
  const data = tensor.data instanceof Float32Array ? tensor.data : new Float32Array(tensor.data);
  const at = findNotFinite(data);
  if (at >= 0) {
    const place = `[${indicesOf(at, shape).join(', ')}]`;
    throw outOfRange([name], `Tensor ${quote(name)} is ${tensor.data[at]} at ${place}`);
  }
  return { shape, data };
}

function findNotFinite(data: Float32Array): number {
  // Not findIndex: a call for each of some million weights takes four times as long.
  for (let i = 0; i < data.length; i++) if (!Number.isFinite(data[i])) return i;
  return -1;
}

function indicesOf(at: number, shape: readonly number[]): number[] {
  const indices: number[] = [];
  let rest = at;
  for (const size of shape.toReversed()) {
    indices.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return indices;
}

/** One bias, or torch's two: added in float64 as they are in the file, then rounded. */
function addUp(parts: readonly Part[]): ImportedTensor {
  const [bias, ...others] = parts.map(toFloat32);
  const shape = [bias!.data.length];
  if (others.length === 0) return { shape, data: bias!.data };
  const [first, second] = parts as [Part, Part];
  const sums = Float64Array.from(first.tensor.data, (b_i, i) => b_i + second.tensor.data[i]!);
  const data = new Float32Array(sums);
  const at = findNotFinite(data);
  if (at >= 0) {
    const names = [first.name, second.name];
    throw outOfRange(names, `The sum of tensors ${list(names)} is ${sums[at]} at [${at}]`);
  }
  return { shape, data };
}

/** (rows, columns) → (columns, rows) */
function transpose({ shape, data }: ImportedTensor): ImportedTensor {
  const [rows, columns] = shape as [number, number];
  const result = new Float32Array(rows * columns);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) result[j * rows + i] = data[i * columns + j]!;
  }
  return { shape: [columns, rows], data: result };
}

function outOfRange(names: readonly string[], found: string): CarryoverError {
  const expected = 'expected a finite float32, whose largest magnitude is 3.4028235e38';
  return refusal('out_of_range', names, `${found}, ${expected}.`);
}

function refusal(code: ErrorCode, names: readonly string[], message: string): CarryoverError {
  const errors = names
    .slice(0, NAMES_LISTED_MAX)
    .map((name) => ({ pointer: `/${escapePointer(name)}`, message }));
  return new CarryoverError(code, { detail: message, errors });
}

/** RFC 6901: ~ and / inside a key. */
function escapePointer(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

function list(names: readonly string[]): string {
  if (names.length === 0) return '(none)';
  const listed = names.slice(0, NAMES_LISTED_MAX).map(quote);
  const more = names.length - listed.length;
  return `${listed.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

/** Cut, as whoever made the file may give a tensor thousands of axes. */
function describe({ tensor: { shape } }: Part): string {
  return formatShape(shape.length > 8 ? [...shape.slice(0, 8), '…'] : shape);
}
