// MatMul and Gemm with constant weights, the bias behind them, and activations: dense layers.
import type { DenseActivation } from '../../../layers.ts';
import { formatShape } from '../../../tensor.ts';
import type { FileTensor, FoundDense } from '../layer.ts';
import { countOf, expanded, reshaped } from './constants.ts';
import type { GraphNode } from './node.ts';
import { fileTensor } from './tensors.ts';
import {
  type Constant,
  type Path,
  type Signal,
  type Value,
  FEATURES,
  constant,
  indexOfFeatures,
  pathBehind,
} from './value.ts';

/** An activation that has no dense layer before it is one of its own, of as many weights as this squared. */
const OWN_FEATURES_MAX = 1024;

const ACTIVATIONS: Readonly<Record<string, DenseActivation>> = {
  Relu: 'relu',
  Tanh: 'tanh',
  Sigmoid: 'sigmoid',
  Softmax: 'softmax',
};

/**
 * Layers behind the last recurrent one are computed of all its steps (ys), and of its last states (y).
 *
 * @throws model_file_unsupported unless it is one of these
 */
export function expectStepsOrStates(node: GraphNode, { moment, direction }: Signal): void {
  if (moment === 'cell') throw node.refusal('which reads the cell state (Y_c)', 'Y or Y_h');
  if (direction !== undefined) {
    throw node.refusal('which reads one direction of a bidirectional layer', 'both directions beside each other');
  }
}

export function matMul(node: GraphNode): Value[] {
  const value = node.signal(0);
  return [dense(node, value, { W: weightsOf(node), isTransposed: false })];
}

/** Weights may have axes of size 1 in front, over which a MatMul repeats them. */
function weightsOf(node: GraphNode): Constant {
  const W = node.constant(1, 'weights');
  const shape = W.shape.slice(-2);
  if (shape.length === 2 && countOf(shape) === W.items.length && !W.isInteger) return reshaped(W, shape);
  throw node.refusal(`whose weights have shape ${formatShape(W.shape)}`, 'a matrix of floats');
}

export function gemm(node: GraphNode): Value[] {
  const value = node.signal(0);
  const W = weightsOf(node);
  for (const factor of ['alpha', 'beta']) {
    const found = node.float(factor, 1);
    if (found !== 1) throw node.refusal(`whose ${factor} is ${found}`, `${factor} = 1, with the factor in the weights`);
  }
  if (node.integer('transA', 0) !== 0) throw node.refusal('which transposes its input (transA)', 'transA = 0');
  const isTransposed = node.integer('transB', 0) !== 0;
  const O = W.shape[isTransposed ? 0 : 1]!;
  const C = node.inputs[2] && node.constant(2, 'biases');
  const b = C && biasOf(node, C, O);
  if (C && !b) throw node.refusal(`whose biases have shape ${formatShape(C.shape)}`, `one for each of the ${O} outputs`);
  return [dense(node, value, { W, isTransposed, b })];
}

/** One number for each output, of a constant that has one for each or one for all; undefined if it has neither. */
function biasOf(node: GraphNode, value: Constant, O: number): FileTensor | undefined {
  if (value.isInteger) return undefined;
  if (value.items.length === O && (value.shape.at(-1) === O || O === 1)) return fileTensor(value, ['O'], [O]);
  return value.items.length === 1 ? fileTensor(expanded(reshaped(value, [1]), [O], node.budget), ['O']) : undefined;
}

interface DenseParts {
  readonly W: Constant;
  readonly isTransposed: boolean;
  readonly b?: FileTensor | undefined;
}

function dense(node: GraphNode, value: Signal, { W, isTransposed, b }: DenseParts): Signal {
  expectStepsOrStates(node, value);
  const { path, axes } = value;
  const [I, O] = (isTransposed ? W.shape.toReversed() : W.shape) as [number, number];
  const at = indexOfFeatures(value);
  if (at < 0 || at !== axes.length - 1 || (typeof path.features === 'number' && path.features !== I)) {
    throw node.refusal(`which has ${I} inputs`, 'as the last axis all features of the layer before, and no others');
  }
  const layer: FoundDense = {
    type: 'dense',
    activation: 'linear',
    layout: { isTransposed },
    W: fileTensor(W, isTransposed ? ['O', 'I'] : ['I', 'O']),
    b,
  };
  return { ...value, path: pathBehind(path, layer, node.title, O), axes: axes.with(at, [{ id: FEATURES, size: O }]) };
}

/** The path with a bias in its last layer, if that is a dense one without. */
export function withBias(node: GraphNode, path: Path, bias: Constant): Path | undefined {
  const { layer, features } = path;
  if (layer?.type !== 'dense' || layer.b || layer.activation !== 'linear' || typeof features !== 'number') return undefined;
  const b = biasOf(node, bias, features);
  return b && { ...path, layer: { ...layer, b } };
}

export function activation(node: GraphNode): Value[] {
  const value = node.signal(0);
  expectStepsOrStates(node, value);
  const at = indexOfFeatures(value);
  if (at < 0) throw node.refusal('whose input has not all features on one axis', 'what a layer returns');
  const name = ACTIVATIONS[node.op]!;
  if (name === 'softmax') expectOverFeatures(node, value, at);
  const { path } = value;
  const { layer } = path;
  if (layer?.type !== 'dense' || layer.activation !== 'linear') return [ofItsOwn(node, value, at, name)];
  return [{ ...value, path: { ...path, layer: { ...layer, activation: name } } }];
}

/** Up to opset 12 it is over the given axis and all behind it. */
function expectOverFeatures(node: GraphNode, { axes }: Signal, at: number): void {
  const isOld = node.opset < 13;
  const axis = node.axis(node.integer('axis', isOld ? 1 : -1), axes.length);
  if (axis === at && (!isOld || at === axes.length - 1)) return;
  throw node.refusal(`which is over axis ${axis}`, `the axis of the features alone, ${at}`);
}

/** A dense layer with ones on its diagonal returns its inputs as they are: nothing but zeros is added to them. */
function ofItsOwn(node: GraphNode, value: Signal, at: number, name: DenseActivation): Signal {
  const { path, axes } = value;
  const { features } = path;
  if (typeof features !== 'number' || features > OWN_FEATURES_MAX) {
    throw node.refusal('which has no dense layer before it', `a Gemm or MatMul, or at most ${OWN_FEATURES_MAX} features`);
  }
  node.budget.take(features * features);
  const ones = new Float32Array(features * features);
  for (let j = 0; j < features; j++) ones[j * features + j] = 1;
  const W = fileTensor(constant([features, features], ones, { name: 'identity' }), ['I', 'O']);
  const layer: FoundDense = { type: 'dense', activation: name, layout: { isTransposed: false }, W };
  const behind = pathBehind(path, layer, node.title, features);
  return { ...value, path: behind, axes: axes.with(at, [{ id: FEATURES, size: features }]) };
}
