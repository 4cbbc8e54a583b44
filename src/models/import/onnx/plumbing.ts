// The operators that compute nothing: they change the order or the number of axes.
import { type GraphNode } from './node.ts';
import { countOf, reshaped, transposed } from './constants.ts';
import { reshapedAxes, sizeOf } from './reshape.ts';
import { type Size, formatSize, product, quotient } from './size.ts';
import { type Constant, type Fill, type Signal, type States, type Value, constant } from './value.ts';

/** Most axes that a Reshape makes. */
const RANK_MAX = 8;

export function identity(node: GraphNode): Value[] {
  return [node.input(0)];
}

/** In inference it returns its input. */
export function dropout(node: GraphNode): Value[] {
  const training = node.inputs[2];
  if (training && !(training.kind === 'constant' && training.items[0] === 0)) {
    throw node.refusal('which may be in training mode', 'a file for inference: export the module after .eval()');
  }
  return [node.input(0)];
}

/** What is filled has no axes here, and states of several layers are only returned once their axes have changed. */
function movedApart(value: Fill | States): Fill | States {
  return value.kind === 'fill' ? value : { ...value, isMoved: true };
}

function hasAxes(value: Value): value is Constant | Signal {
  return value.kind === 'constant' || value.kind === 'signal';
}

function rankOf(value: Constant | Signal): number {
  return value.kind === 'constant' ? value.shape.length : value.axes.length;
}

function sizesOf(value: Constant | Signal): readonly Size[] {
  return value.kind === 'constant' ? value.shape : value.axes.map(sizeOf);
}

export function transpose(node: GraphNode): Value[] {
  const value = node.input(0);
  if (!hasAxes(value)) return [movedApart(value)];
  const rank = rankOf(value);
  const perm = node.integers('perm') ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
  if (perm.length !== rank || perm.toSorted((a, b) => a - b).some((axis, i) => axis !== i)) {
    throw node.malformed(`with a perm of ${perm.length} axes that is none of ${rank}`);
  }
  if (value.kind === 'constant') return [transposed(value, perm, node.budget)];
  return [{ ...value, axes: perm.map((axis) => value.axes[axis]!) }];
}

/** The axes of Squeeze and Unsqueeze: an attribute up to opset 12, then an input. */
function axesGiven(node: GraphNode): number[] | undefined {
  return node.inputs[1] ? node.integersOf(1, 'axes') : node.integers('axes');
}

export function unsqueeze(node: GraphNode): Value[] {
  const value = node.input(0);
  const given = axesGiven(node);
  if (!given) throw node.malformed('without axes');
  if (!hasAxes(value)) return [movedApart(value)];
  const rank = rankOf(value) + given.length;
  const axes = new Set(given.map((axis) => node.axis(axis, rank)));
  if (axes.size !== given.length || rank > RANK_MAX) throw node.malformed('with an axis twice, or too many');
  const withOnes = <A>(old: readonly A[], one: A): A[] => {
    const rest = [...old];
    return Array.from({ length: rank }, (_, i) => (axes.has(i) ? one : rest.shift()!));
  };
  if (value.kind === 'constant') return [reshaped(value, withOnes(value.shape, 1))];
  return [{ ...value, axes: withOnes(value.axes, []) }];
}

export function squeeze(node: GraphNode): Value[] {
  const value = node.input(0);
  const given = axesGiven(node);
  if (!hasAxes(value)) return [movedApart(value)];
  const sizes = sizesOf(value);
  const axes =
    given?.map((axis) => node.axis(axis, sizes.length)) ?? sizes.flatMap((size, i) => (size === 1 ? [i] : []));
  const wrong = axes.find((axis) => sizes[axis] !== 1);
  if (wrong !== undefined) {
    const found = `which removes axis ${wrong} of size ${formatSize(sizes[wrong])}`;
    throw node.refusal(found, 'an axis whose size is 1 in every call');
  }
  const kept = <A>(old: readonly A[]) => old.filter((_, i) => !axes.includes(i));
  return [value.kind === 'constant' ? reshaped(value, kept(value.shape)) : { ...value, axes: kept(value.axes) }];
}

export function reshape(node: GraphNode): Value[] {
  const value = node.input(0);
  const { items } = node.constant(1, 'sizes');
  if (items.length > RANK_MAX) throw node.refusal(`which makes ${items.length} axes`, `at most ${RANK_MAX}`);
  if (!hasAxes(value)) return [movedApart(value)];
  const sizes = Array.from(items);
  const allowsZero = node.integer('allowzero', 0) === 1;
  if (value.kind === 'constant') return [reshapeConstant(node, value, sizes, allowsZero)];
  const axes = reshapedAxes(value.axes, sizes, allowsZero);
  if (axes) return [{ ...value, axes }];
  const [from, to] = [sizesOf(value), sizes].map((list) => list.map(formatSize).join(', '));
  throw node.refusal(`which makes (${to}) of (${from})`, 'axes that are merged, or split again as they were before');
}

function reshapeConstant(node: GraphNode, value: Constant, target: readonly Size[], allowsZero: boolean): Constant {
  const count = countOf(value.shape);
  const sizes = target.map((size, i) => (size === 0 && !allowsZero ? (value.shape[i] ?? 0) : size));
  const known = sizes.reduce<Size>((sum, size) => (size === -1 ? sum : product(sum, size)), 1);
  const shape = sizes.map((size) => (size === -1 ? quotient(count, known) : size));
  if (shape.every((size) => typeof size === 'number') && countOf(shape) === count) return reshaped(value, shape);
  throw node.malformed(`that makes (${target.map(formatSize).join(', ')}) of ${count} numbers`);
}

export function flatten(node: GraphNode): Value[] {
  const value = node.input(0);
  if (!hasAxes(value)) return [movedApart(value)];
  const rank = rankOf(value);
  const given = node.integer('axis', 1);
  const axis = given === rank ? rank : node.axis(given, rank);
  if (value.kind === 'signal') {
    return [{ ...value, axes: [value.axes.slice(0, axis).flat(), value.axes.slice(axis).flat()] }];
  }
  return [reshaped(value, [countOf(value.shape.slice(0, axis)), countOf(value.shape.slice(axis))])];
}

export function shape(node: GraphNode): Value[] {
  const value = node.input(0);
  if (!hasAxes(value)) throw node.refusal('which asks for the shape of states', 'that of x, or of what a layer returns');
  const end = node.has('end') ? node.integer('end', 0) : undefined;
  const sizes = sizesOf(value).slice(node.integer('start', 0), end);
  return [constant([sizes.length], sizes)];
}

export function constantNode(node: GraphNode): Value[] {
  const tensor = node.tensor('value');
  if (tensor) return [tensor];
  if (node.has('value_int')) return [constant([], [node.integer('value_int', 0)])];
  const integers = node.integers('value_ints');
  if (integers) return [constant([integers.length], integers)];
  const [name = ''] = node.outputNames;
  const float = node.has('value_float') ? [node.float('value_float', 0)] : undefined;
  const floats = float ?? node.floats('value_floats');
  if (floats) return [constant(float ? [] : [floats.length], Float32Array.from(floats), { isInteger: false, name })];
  throw node.refusal('whose value is not read', 'value, value_int, value_ints, value_float or value_floats');
}
