// RNN, GRU and LSTM. https://onnx.ai/onnx/operators/onnx__LSTM.html
//
//   X (T, N, D), W (dirs, G H, D), R (dirs, G H, H), B (dirs, 2 G H)?, sequence_lens (N)?, initial_h, initial_c (dirs, N, H)?
//   → Y (T, dirs, N, H), Y_h, Y_c (dirs, N, H); with layout 1 N comes first in each of them
import { quote } from '../../../codec/safetensors/quote.ts';
import { type CellType, type Direction, GATES } from '../../../layers.ts';
import { formatShape } from '../../../tensor.ts';
import type { FoundDirection, FoundRecurrent, Layout } from '../layer.ts';
import { isFilledWith } from './constants.ts';
import type { GraphNode } from './node.ts';
import { type RecurrentInput, initialStates, readInput } from './recurrent-inputs.ts';
import { fileTensor } from './tensors.ts';
import {
  type Axis,
  type Constant,
  type Moment,
  type Path,
  type Signal,
  type Value,
  DIRECTIONS,
  FEATURES,
  pathBehind,
} from './value.ts';

const TYPES: Readonly<Record<string, CellType>> = { RNN: 'rnn', GRU: 'gru', LSTM: 'lstm' };
/** The order in which the gates stand in W, R and B, by our names. ONNX calls n of a GRU h, and g of an LSTM c. */
const LAYOUTS: Readonly<Record<CellType, Layout>> = {
  rnn: { isTransposed: true },
  gru: { isTransposed: true, gates: ['z', 'r', 'n'] },
  lstm: { isTransposed: true, gates: ['i', 'o', 'f', 'g'] },
};
const DIRECTION_NAMES: readonly string[] = ['forward', 'reverse', 'bidirectional'] satisfies Direction[];
/** Of one direction, if the node does not say them. */
const ACTIVATIONS: Readonly<Record<CellType, readonly string[]>> = {
  rnn: ['Tanh'],
  gru: ['Sigmoid', 'Tanh'],
  lstm: ['Sigmoid', 'Tanh', 'Tanh'],
};
/** Clipping at this changes nothing. */
const FLOAT_MAX = 3.4028234663852886e38;

export function recurrent(node: GraphNode): Value[] {
  const type = TYPES[node.op]!;
  const direction = directionOf(node);
  const directions = direction === 'bidirectional' ? 2 : 1;
  expectSupported(node, type);
  const [weights, backward] = readWeights(node, type, directions);
  const found = { type, direction, layout: LAYOUTS[type], weights: weights!, backward, ...optionsOf(node, type, directions) };
  const H = found.weights.W_h.tensor.shape[1]!;
  const input = readInput(node);
  const states = initialStates(node, type, directions);
  const path = { ...pathBehind(input.path, found, node.title, directions * H), ...input.known, states };
  return outputsOf(node, path, input, found, H);
}

function directionOf(node: GraphNode): Direction {
  const direction = node.string('direction', 'forward');
  if (DIRECTION_NAMES.includes(direction)) return direction as Direction;
  throw node.malformed(`with direction ${quote(direction)}, expected ${DIRECTION_NAMES.join(', ')}`);
}

function expectSupported(node: GraphNode, type: CellType): void {
  const clip = node.has('clip') ? node.float('clip', 0) : FLOAT_MAX;
  if (!(clip < 0 || clip >= FLOAT_MAX)) {
    throw node.refusal(`which clips its sums at ${clip}`, 'no attribute clip: these layers are computed without');
  }
  if (type !== 'lstm') return;
  if (node.integer('input_forget', 0) !== 0) {
    throw node.refusal('whose input and forget gates are coupled (input_forget)', 'input_forget = 0, with a gate each');
  }
  const P = node.inputs[7];
  if (P && !(P.kind === 'constant' && isFilledWith(P, 0, node.budget))) {
    throw node.refusal('which has peepholes (its input P)', 'an LSTM without peepholes: no P, or zeros');
  }
}

function optionsOf(node: GraphNode, type: CellType, directions: number): Pick<FoundRecurrent, 'activation' | 'reset'> {
  const given = activationsOf(node, type, directions);
  if (type === 'rnn') {
    const [activation] = given;
    const isOne = given.every((name) => name === activation);
    if (isOne && (activation === 'tanh' || activation === 'relu')) return { activation };
    throw activationsRefused(node, 'Tanh or Relu, the same in both directions');
  }
  const expected = ACTIVATIONS[type];
  if (given.some((name, i) => name !== expected[i % expected.length]!.toLowerCase())) {
    throw activationsRefused(node, `${expected.join(', ')} in each direction`);
  }
  return type === 'gru' ? { reset: node.integer('linear_before_reset', 0) === 0 ? 'before' : 'after' } : {};
}

/** In lower case: the names are not case-sensitive. */
function activationsOf(node: GraphNode, type: CellType, directions: number): string[] {
  const usual = Array.from({ length: directions }, () => ACTIVATIONS[type]).flat();
  const given = node.strings('activations') ?? usual;
  if (given.length !== usual.length) throw node.malformed(`with ${given.length} activations, expected ${usual.length}`);
  return given.map((name) => name.toLowerCase());
}

function activationsRefused(node: GraphNode, expected: string): Error {
  const found = (node.strings('activations') ?? []).map(quote).join(', ');
  return node.refusal(`whose activations are ${found}`, `${expected}: this layer is computed with no others`);
}

function readWeights(node: GraphNode, type: CellType, directions: number): FoundDirection[] {
  const G = GATES[type].length;
  const [W, R] = [node.constant(1, 'weights W'), node.constant(2, 'weights R')];
  const B = node.inputs[3] && node.constant(3, 'biases B');
  const [D, H] = [W.shape[2] ?? 0, R.shape[2] ?? 0];
  expectShape(node, 'W', W, [directions, G * H, D]);
  expectShape(node, 'R', R, [directions, G * H, H]);
  if (B) expectShape(node, 'B', B, [directions, 2 * G * H]);
  const hiddenSize = node.integer('hidden_size', H);
  if (hiddenSize !== H) throw node.malformed(`with hidden_size ${hiddenSize}, expected ${H} by its R`);
  const rows = G === 1 ? 'H' : `${G}H`;
  return Array.from({ length: directions }, (_, k) => {
    const matrix = (part: Constant, columns: string) => {
      const shape = part.shape.slice(1);
      return fileTensor(part, [rows, columns], shape, { start: k * shape[0]! * shape[1]!, suffix: `[${k}]` });
    };
    // Those of the input stand before those of the state.
    const bias = (half: number) => {
      if (!B) return undefined;
      const [from, to] = [half * G * H, (half + 1) * G * H];
      const suffix = `${directions === 1 ? '' : `[${k}]`}[${from}:${to}]`;
      return { from: fileTensor(B, [rows], [G * H], { start: k * 2 * G * H + from, suffix }), start: 0 };
    };
    return { W_x: matrix(W, 'D'), W_h: matrix(R, 'H'), b: bias(0), b_h: bias(1) };
  });
}

function expectShape(node: GraphNode, name: string, { shape, isInteger }: Constant, expected: readonly number[]): void {
  const isRight = shape.length === expected.length && shape.every((size, i) => size === expected[i] && size > 0);
  if (isRight && !isInteger) return;
  const found = `${formatShape(shape)}${isInteger ? ' of integers' : ''}`;
  throw node.malformed(`with ${name} of shape ${found}, expected floats ${formatShape(expected)}`);
}

function outputsOf(
  node: GraphNode,
  path: Path,
  { time, rows }: RecurrentInput,
  { type, direction }: FoundRecurrent,
  H: number,
): Signal[] {
  const features: Axis = [{ id: FEATURES, size: H }];
  const directions: Axis = direction === 'bidirectional' ? [{ id: DIRECTIONS, size: 2 }] : [];
  const isBatchFirst = node.integer('layout', 0) === 1;
  const state = isBatchFirst ? [rows, directions, features] : [directions, rows, features];
  const Y = isBatchFirst ? [rows, time, directions, features] : [time, directions, rows, features];
  const signal = (axes: readonly Axis[], moment: Moment): Signal => ({ kind: 'signal', path, axes, moment });
  return [signal(Y, 'steps'), signal(state, 'end'), ...(type === 'lstm' ? [signal(state, 'cell')] : [])];
}
