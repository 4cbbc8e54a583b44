// Tensors filled with one value, as exporters write the zeros of initial states: their shape may have open sizes.
import { countOf, expanded, isFilledWith } from './constants.ts';
import type { GraphNode } from './node.ts';
import { sizeOf } from './reshape.ts';
import { type Size, isSame } from './size.ts';
import { type Constant, type Value, constant } from './value.ts';

const RANK_MAX = 8;
/** Of more numbers that are all the same, that alone is kept. */
const NUMBERS_KEPT_MAX = 2 ** 16;

export function constantOfShape(node: GraphNode): Value[] {
  const shape = shapeInput(node, 0);
  const value = node.tensor('value') ?? constant([1], Float32Array.of(0), { isInteger: false });
  if (value.items.length !== 1) throw node.malformed(`with a value of ${value.items.length} numbers`);
  return [filled(node, { ...value, shape: [] }, shape)];
}

export function expand(node: GraphNode): Value[] {
  const value = node.input(0);
  const shape = shapeInput(node, 1);
  if (value.kind === 'fill') return [value];
  if (value.kind === 'constant') return [filled(node, value, shape)];
  const axes = value.kind === 'signal' ? value.axes : [];
  const offset = axes.length - shape.length;
  const isSameShape = offset >= 0 && shape.every((size, i) => size === 1 || isSame(size, sizeOf(axes[i + offset]!)));
  if (value.kind === 'signal' && isSameShape) return [value];
  throw node.refusal('which repeats what is computed', 'a constant, as the zeros of initial states');
}

function shapeInput(node: GraphNode, index: number): readonly Size[] {
  const { items } = node.constant(index, 'sizes');
  if (items.length > RANK_MAX) throw node.refusal(`which makes ${items.length} axes`, `at most ${RANK_MAX}`);
  const sizes = Array.from(items);
  if (sizes.some((size) => typeof size === 'number' && !(size >= 0 && Number.isSafeInteger(size)))) {
    throw node.malformed('with a size that is none');
  }
  return sizes;
}

function filled(node: GraphNode, value: Constant, shape: readonly Size[]): Value {
  const known = shape.filter((size) => typeof size === 'number');
  const isOpen = known.length < shape.length;
  const [first] = value.items;
  if ((isOpen || countOf(known) > NUMBERS_KEPT_MAX) && value.items.length > 0 && isFilledWith(value, first, node.budget)) {
    return { kind: 'fill', value: first };
  }
  if (isOpen) throw node.refusal('which repeats several numbers to an open size', 'zeros');
  try {
    return expanded(value, known, node.budget);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw node.malformed('whose shapes do not fit');
  }
}
