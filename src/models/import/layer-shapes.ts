// Checks that the tensors of a layer agree on D, H and O, and that it has no gates.
import { quote } from '../../codec/safetensors/quote.ts';
import type { CarryoverError } from '../../errors.ts';
import { formatShape } from '../../tensor.ts';
import type { Layer, LayerTensor } from './layer.ts';
import { refusal } from './refusal.ts';

/**
 * An LSTM and a GRU have tensors of the same names as an RNN, with their gates stacked along the outputs.
 *
 * @throws shape_mismatch
 */
export function expectNoGates({
  W_x,
  W_h,
  isTransposed,
}: Pick<Layer, 'W_x' | 'W_h' | 'isTransposed'>): void {
  if (W_x.tensor.shape.length !== 2 || W_h.tensor.shape.length !== 2) return;
  const [outputs, inputs] = isTransposed ? ([0, 1] as const) : ([1, 0] as const);
  const H = W_h.tensor.shape[inputs]!;
  for (const [gates, cell] of [[4, 'an LSTM (4H)'], [3, 'a GRU (3H)']] as const) {
    const stacked = gates * H;
    if (stacked === 0 || W_x.tensor.shape[outputs] !== stacked) continue;
    if (W_h.tensor.shape[outputs] !== stacked) continue;
    throw refusal(
      'shape_mismatch',
      [W_x.name, W_h.name],
      `Tensor ${quote(W_x.name)} has shape ${shapeOf(W_x)} and ${quote(W_h.name)} ` +
        `${shapeOf(W_h)}, which looks like ${cell} of H = ${H}, expected a layer without gates: ` +
        'only tanh RNN layers are supported.',
    );
  }
}

/** The size of an axis that an earlier tensor has determined. */
interface KnownAxis {
  readonly size: number;
  /** Which tensor determined it, for errors. */
  readonly why: string;
}

/** Checks the shapes of all tensors of a layer against each other. @throws shape_mismatch */
export function expectShapesAgree({ W_x, W_h, b, W_y, b_y }: Layer): void {
  const known = new Map<string, KnownAxis>([['1', { size: 1, why: 'a bias is one row' }]]);
  for (const tensor of [W_x, W_h, ...b, W_y, b_y]) if (tensor) expectShape(tensor, known);
}

/** Adds to `known` the axes that this tensor determines. @throws shape_mismatch */
function expectShape(part: LayerTensor, known: Map<string, KnownAxis>): void {
  const { name, tensor, axes } = part;
  const letters = axes.split('');
  if (tensor.shape.length !== letters.length) {
    const rank = letters.length === 1 ? 'a vector' : 'a matrix';
    throw wrongShape(part, `${rank}, ${formatShape(letters)}`);
  }
  if (tensor.shape.includes(0)) throw wrongShape(part, 'at least 1 along each axis');
  const expected = letters.map((axis) => known.get(axis)?.size ?? axis);
  const mismatch = letters.find((axis, i) => known.has(axis) && expected[i] !== tensor.shape[i]);
  if (mismatch !== undefined) {
    throw wrongShape(part, `${formatShape(expected)}, because ${known.get(mismatch)!.why}`);
  }
  for (const [i, axis] of letters.entries()) {
    if (known.has(axis)) continue;
    const size = tensor.shape[i]!;
    const shape = `${formatShape(letters)} = ${shapeOf(part)}`;
    known.set(axis, { size, why: `${quote(name)} ${shape} makes ${axis} = ${size}` });
  }
}

function wrongShape(part: LayerTensor, expected: string): CarryoverError {
  const message = `Tensor ${quote(part.name)} has shape ${shapeOf(part)}, expected ${expected}.`;
  return refusal('shape_mismatch', [part.name], message);
}

/** Truncated: a file may give a tensor thousands of axes. */
function shapeOf({ tensor: { shape } }: LayerTensor): string {
  return formatShape(shape.length > 8 ? [...shape.slice(0, 8), '…'] : shape);
}
