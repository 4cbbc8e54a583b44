// Affine layers x ∘ scale + offset: Add, Sub, Mul and Div of what a layer returns and constants, and BatchNormalization.
// Neighbours are one layer, in float64, which is rounded at the end.
import { formatShape } from '../../../tensor.ts';
import { namesOf } from './constants.ts';
import { expectStepsOrStates, withBias } from './dense.ts';
import type { GraphNode } from './node.ts';
import { type Affine, type Constant, type Signal, type Value, FEATURES, indexOfFeatures, pathBehind } from './value.ts';

const EXPECTED = 'a constant of one number for each feature, or of one for all';
/** More than any layer has. */
const FEATURES_MAX = 2 ** 20;

/** @param isFlipped whether the constant is the first operand */
export function affine(node: GraphNode, value: Signal, operand: Constant, isFlipped: boolean): Signal {
  expectStepsOrStates(node, value);
  const numbers = alongFeatures(node, value, operand, indexOfFeatures(value) - value.axes.length);
  if (node.op === 'Add') {
    const path = withBias(node, value.path, operand);
    if (path) return { ...value, path };
  }
  return withAffine(node, value, affineOf(node, isFlipped, numbers, namesOf([operand])));
}

function affineOf(node: GraphNode, isFlipped: boolean, numbers: Float64Array, names: readonly string[]): Affine {
  const ones = new Float64Array(numbers.length).fill(1);
  const shift = (scale: Float64Array, offset: Float64Array): Affine => {
    return { type: 'affine', scale, offset, scaleNames: [], offsetNames: names };
  };
  const stretch = (scale: Float64Array): Affine => {
    return { type: 'affine', scale, offset: undefined, scaleNames: names, offsetNames: [] };
  };
  switch (node.op) {
    case 'Add':
      return shift(ones, numbers);
    case 'Sub':
      return isFlipped ? shift(ones.fill(-1), numbers) : shift(ones, numbers.map((value) => -value));
    case 'Mul':
      return stretch(numbers);
    default:
      if (isFlipped) throw node.refusal('which divides a constant by what a layer returns', `to divide by ${EXPECTED}`);
      return stretch(numbers.map((value) => 1 / value));
  }
}

/**
 * One number for each feature, of a constant that has one for each or one for all.
 *
 * @param at the axis of the features, counted from behind the last of the constant: -1 for the last
 */
function alongFeatures(node: GraphNode, { path, axes }: Signal, { shape, items, isInteger }: Constant, at: number): Float64Array {
  const { features } = path;
  const inConstant = shape.at(at) ?? 1;
  const count = typeof features === 'number' ? features : inConstant;
  const isOne = items.length === 1;
  const fits = isOne || (items.length === count && inConstant === count);
  if (at < -axes.length || !fits || shape.length > axes.length || isInteger || items.length > FEATURES_MAX) {
    throw node.refusal(`whose constant has shape ${formatShape(shape)}`, EXPECTED);
  }
  if (isOne && typeof features !== 'number') {
    throw node.refusal('which reads an input whose number of features is open', 'an input that says its last size');
  }
  node.budget.take(count);
  return Float64Array.from({ length: count }, (_, j) => items[isOne ? 0 : j] as number);
}

/** Behind an affine layer, it becomes one with it. */
function withAffine(node: GraphNode, value: Signal, next: Affine): Signal {
  const { path, axes } = value;
  if (path.layer?.type === 'affine') return { ...value, path: { ...path, layer: composed(path.layer, next) } };
  const features = next.scale.length;
  const behind = pathBehind(path, next, node.title, features);
  return { ...value, path: behind, axes: axes.with(indexOfFeatures(value), [{ id: FEATURES, size: features }]) };
}

/** (x ∘ s + o) ∘ s' + o' = x ∘ (s ∘ s') + (o ∘ s' + o') */
function composed(first: Affine, next: Affine): Affine {
  const scaled = first.offset?.map((value, j) => value * next.scale[j]!);
  const offset = scaled && next.offset ? scaled.map((value, j) => value + next.offset![j]!) : (scaled ?? next.offset);
  const names = (...lists: (readonly string[])[]) => [...new Set(lists.flat())].slice(0, 16);
  return {
    type: 'affine',
    scale: first.scale.map((value, j) => value * next.scale[j]!),
    offset,
    scaleNames: names(first.scaleNames, next.scaleNames),
    offsetNames: names(first.offsetNames, first.offset ? next.scaleNames : [], next.offsetNames),
  };
}

/** scale = weight / √(variance + eps), offset = bias - mean ∘ scale, of the features on axis 1. */
export function batchNorm(node: GraphNode): Value[] {
  const value = node.signal(0);
  expectStepsOrStates(node, value);
  if (node.integer('training_mode', 0) !== 0) {
    throw node.refusal('which is in training mode', 'a file for inference: export the module after .eval()');
  }
  if (indexOfFeatures(value) !== 1) {
    throw node.refusal('which normalises over other axes than the features', 'the features of a layer as axis 1');
  }
  const parts = ['scale', 'bias', 'mean', 'variance'].map((name, i) => {
    const part = node.constant(1 + i, name);
    return { names: namesOf([part]), numbers: alongFeatures(node, value, part, -1) };
  });
  const [weight, bias, mean, variance] = parts as [Part, Part, Part, Part];
  const eps = node.float('epsilon', 1e-5);
  const scale = weight.numbers.map((w, j) => w / Math.sqrt(variance.numbers[j]! + eps));
  const offset = bias.numbers.map((b, j) => b - mean.numbers[j]! * scale[j]!);
  const scaleNames = [...weight.names, ...variance.names];
  const offsetNames = [...bias.names, ...mean.names, ...scaleNames];
  return [withAffine(node, value, { type: 'affine', scale, offset, scaleNames, offsetNames })];
}

interface Part {
  readonly names: readonly string[];
  readonly numbers: Float64Array;
}
