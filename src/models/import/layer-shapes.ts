// Checks that the layers are not too many, and that their tensors agree on sizes, each layer with the one before it.
import { quote } from '../../codec/safetensors/quote.ts';
import { CarryoverError } from '../../errors.ts';
import { type CellType, GATES, LAYERS_MAX } from '../../layers.ts';
import { formatShape } from '../../tensor.ts';
import {
  type FileTensor,
  type FoundAffine,
  type FoundBatchNorm,
  type FoundBias,
  type FoundDirection,
  type FoundLayer,
  type FoundRecurrent,
  type Layout,
  axesOf,
  cellOf,
} from './layer.ts';
import { refusal } from './refusal.ts';

/** The size of an axis that an earlier tensor has determined. */
interface KnownAxis {
  readonly size: number;
  /** Which tensor determined it, for errors. */
  readonly why: string;
}

type KnownAxes = Map<string, KnownAxis>;

/** The sizes of a layer by their letters: V, D, H, I, O. */
export type LayerSizes = Readonly<Record<string, number>>;

/** Checks all shapes. @returns the sizes of each layer · @throws shape_mismatch */
export function expectShapesAgree(layers: readonly FoundLayer[]): LayerSizes[] {
  let inputs: KnownAxis | undefined;
  return layers.map((layer) => {
    const known: KnownAxes = new Map();
    inputs = expectLayer(layer, inputs, known);
    return Object.fromEntries([...known].map(([axis, { size }]) => [axis, size]));
  });
}

/** @throws limit_exceeded */
export function expectLayerCount(layers: number): void {
  if (layers <= LAYERS_MAX) return;
  const detail = `The file has ${layers} layers; a model has at most ${LAYERS_MAX}.`;
  throw new CarryoverError('limit_exceeded', { detail });
}

/** @returns the outputs of the layer */
function expectLayer(layer: FoundLayer, inputs: KnownAxis | undefined, known: KnownAxes): KnownAxis {
  const axis = layer.type === 'dense' ? 'I' : 'D';
  if (inputs && layer.type !== 'embedding') known.set(axis, inputs);
  switch (layer.type) {
    case 'embedding':
      expectShape(layer.E, known);
      return known.get('D')!;
    case 'affine':
      for (const tensor of vectorsOf(layer)) if (tensor) expectShape(tensor, known);
      return known.get('D')!;
    case 'dense':
      expectShape(layer.W, known);
      if (layer.b) expectShape(layer.b, known);
      return known.get('O')!;
    default:
      return expectRecurrent(layer, known);
  }
}

function vectorsOf(layer: FoundAffine | FoundBatchNorm): (FileTensor | undefined)[] {
  if (!('norm' in layer)) return [layer.scale, layer.offset];
  const { mean, variance, weight, bias } = layer.norm;
  return [mean, variance, weight, bias];
}

function expectRecurrent({ weights, backward }: FoundRecurrent, known: KnownAxes): KnownAxis {
  expectDirection(weights, known);
  const { size: H, why } = known.get('H')!;
  if (!backward) return { size: H, why };
  expectDirection(backward, known);
  return { size: 2 * H, why: `${why}, and it has two directions` };
}

function expectDirection({ W_x, W_h, b, b_h, b_hn }: FoundDirection, known: KnownAxes): void {
  expectShape(W_x, known);
  expectShape(W_h, known);
  for (const bias of [b, b_h, b_hn]) if (bias && isFirstOf(bias)) expectShape(bias.from, known);
}

/** Two biases of one tensor are checked once. */
const isFirstOf = ({ start }: FoundBias) => start === 0;

/** Adds to `known` the axes that this tensor determines. @throws shape_mismatch */
function expectShape(part: FileTensor, known: KnownAxes): void {
  const { tensor, axes } = part;
  const { shape } = tensor;
  if (shape.length !== axes.length) {
    const rank = axes.length === 1 ? 'a vector' : 'a matrix';
    throw wrongShape(part, `${rank}, ${formatShape(axes)}`);
  }
  if (shape.includes(0)) throw wrongShape(part, 'at least 1 along each axis');
  const parsed = axes.map(parseAxis);
  const expected = parsed.map(({ times, letter }, i) =>
    letter === '' ? times : known.has(letter) ? times * known.get(letter)!.size : axes[i]!,
  );
  const wrong = parsed.find((_, i) => typeof expected[i] === 'number' && expected[i] !== shape[i]);
  if (wrong) {
    const why = known.get(wrong.letter)?.why ?? whyFixed(wrong.times);
    throw wrongShape(part, `${formatShape(expected)}, because ${why}`);
  }
  for (const [i, { times, letter }] of parsed.entries()) {
    if (letter === '' || known.has(letter)) continue;
    if (shape[i]! % times !== 0) {
      throw wrongShape(part, `${formatShape(expected)}, a multiple of ${times}, because it has as many gates`);
    }
    const size = shape[i]! / times;
    const why = `${quote(part.name)} ${formatShape(axes)} = ${shapeOf(part)} makes ${letter} = ${size}`;
    known.set(letter, { size, why });
  }
}

const whyFixed = (size: number) => (size === 1 ? 'a bias is one row' : `it holds ${size} biases`);

/** `4H` is four times H, `H` once H, and `2` is 2. */
function parseAxis(axis: string): { times: number; letter: string } {
  const [, times, letter] = /^(\d*)(\D*)$/.exec(axis)!;
  return { times: times === '' ? 1 : Number(times), letter: letter! };
}

/**
 * The cell that a layer has by the shape of its W_h.
 *
 * @param said the cell, if the client or the file states it
 * @throws shape_mismatch if no cell has this shape, or another than is said
 */
export function expectCell(
  W_h: FileTensor,
  layout: Layout,
  said: CellType | undefined,
): CellType {
  const found = cellOf(W_h, layout);
  const { shape } = W_h.tensor;
  // What is wrong with these is found with the other shapes.
  if (shape.length !== 2 || shape.includes(0)) return said ?? 'rnn';
  if (found !== undefined && (said === undefined || said === found)) return found;
  const cells = said === undefined ? (Object.keys(GATES) as CellType[]) : [said];
  const expected = cells.map((cell) => `${formatShape(axesOf(cell, layout).W_h)} of ${articled(cell)}`);
  const as = found === undefined ? '' : `, as ${articled(found)} has`;
  const message = `Tensor ${quote(W_h.name)} has shape ${shapeOf(W_h)}${as}, expected ${listOf(expected)}.`;
  throw refusal('shape_mismatch', [W_h.name], message);
}

const articled = (cell: CellType) => (cell === 'gru' ? 'a gru' : `an ${cell}`);

function listOf(words: readonly string[]): string {
  return words.length === 1 ? words[0]! : `${words.slice(0, -1).join(', ')} or ${words.at(-1)!}`;
}

function wrongShape(part: FileTensor, expected: string): CarryoverError {
  const message = `Tensor ${quote(part.name)} has shape ${shapeOf(part)}, expected ${expected}.`;
  return refusal('shape_mismatch', [part.name], message);
}

/** Truncated: a file may give a tensor thousands of axes. */
function shapeOf({ tensor: { shape } }: FileTensor): string {
  return formatShape(shape.length > 8 ? [...shape.slice(0, 8), '…'] : shape);
}
