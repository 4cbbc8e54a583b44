// Add, Sub, Mul, Div, Equal and Where: of two constants they are computed, as exporters compute shapes with them; of a
// constant and what a layer returns they are affine layers (affine.ts).
import { formatShape } from '../../../tensor.ts';
import { affine } from './affine.ts';
import { combined } from './constants.ts';
import type { GraphNode } from './node.ts';
import { type Size, difference, divided, isSame, product, sum } from './size.ts';
import { type Constant, type Value, constant } from './value.ts';

type Operation = (a: Size, b: Size) => Size;

const OF_SIZES: Readonly<Record<string, Operation>> = { Add: sum, Sub: difference, Mul: product, Div: divided };
const OF_NUMBERS: Readonly<Record<string, (a: number, b: number) => number>> = {
  Add: (a, b) => a + b,
  Sub: (a, b) => a - b,
  Mul: (a, b) => a * b,
  Div: (a, b) => a / b,
};

export function arithmetic(node: GraphNode): Value[] {
  const [a, b] = [node.input(0), node.input(1)];
  if (a.kind === 'constant' && b.kind === 'constant') {
    const ofNumbers = OF_NUMBERS[node.op]!;
    const isOfSizes = a.isInteger || b.isInteger;
    return [combine(node, a, b, isOfSizes ? OF_SIZES[node.op]! : (x, y) => ofNumbers(x as number, y as number))];
  }
  if (a.kind === 'signal' && b.kind === 'constant') return [affine(node, a, b, false)];
  if (a.kind === 'constant' && b.kind === 'signal') return [affine(node, b, a, true)];
  if (a.kind === 'signal' && b.kind === 'signal') {
    throw node.refusal('which joins two values that both depend on x', 'a single path from x to y: here a constant');
  }
  throw node.refusal('which computes with states', 'initial states that are zeros or an input of the graph');
}

function combine(node: GraphNode, a: Constant, b: Constant, operation: Operation): Constant {
  try {
    return combined(a, b, operation, node.budget);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw node.malformed(`with inputs of shapes ${formatShape(a.shape)} and ${formatShape(b.shape)}`);
  }
}

/** 1 or 0, as far as it is known: an open size is at least 1. */
function isEqual(a: Size, b: Size): Size {
  if (isSame(a, b)) return 1;
  if (a === undefined || b === undefined) return undefined;
  const areNumbers = typeof a === 'number' && typeof b === 'number';
  return areNumbers || (typeof a === 'number' && a < 1) || (typeof b === 'number' && b < 1) ? 0 : undefined;
}

export function equal(node: GraphNode): Value[] {
  return [combine(node, node.constant(0, 'inputs'), node.constant(1, 'inputs'), isEqual)];
}

export function where(node: GraphNode): Value[] {
  const [condition, yes, no] = [0, 1, 2].map((i) => node.constant(i, 'inputs')) as [Constant, Constant, Constant];
  const first: Operation = (a) => a;
  // Repeated to their common shape.
  const isYes = combine(node, condition, combine(node, yes, no, first), first);
  const [ifYes, ifNo] = [combine(node, yes, isYes, first), combine(node, no, isYes, first)];
  const items = Array.from(isYes.items, (is, i): Size => {
    if (is === undefined) throw node.refusal('whose condition depends on an input', 'a condition that is constant');
    return is === 0 ? ifNo.items[i] : ifYes.items[i];
  });
  return [constant(isYes.shape, items, { isInteger: yes.isInteger })];
}
