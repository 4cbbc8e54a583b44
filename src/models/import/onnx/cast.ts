// Casts: between floats, which are all computed as float32 here; of sizes and other integers; and of x to the integers
// that an embedding reads, or to floats.
import { BOOL, FLOAT_TYPES, INTEGER_TYPES, nameOfType } from '../../../codec/onnx/tensor.ts';
import type { GraphNode } from './node.ts';
import { sizeOf } from './reshape.ts';
import { type Axis, type Constant, type Signal, type Value, FEATURES } from './value.ts';

export function cast(node: GraphNode): Value[] {
  const value = node.input(0);
  const type = node.integer('to', 0);
  const isFloat = FLOAT_TYPES.has(type);
  if (!isFloat && !INTEGER_TYPES.has(type) && type !== BOOL) {
    throw node.refusal(`which casts to ${nameOfType(type)}`, 'a cast between floats, or between integers');
  }
  if (value.kind === 'constant') return [castConstant(value, type)];
  if (value.kind === 'signal' && !value.path.layer) return [castInput(value, isFloat)];
  if (isFloat || value.kind === 'fill') return [value];
  throw node.refusal(`which casts what a layer returns to ${nameOfType(type)}`, 'floats behind the first layer');
}

function castConstant(value: Constant, type: number): Constant {
  const { items } = value;
  const isInteger = !FLOAT_TYPES.has(type);
  if (!(items instanceof Float32Array || items instanceof Float64Array)) return { ...value, isInteger };
  if (isInteger) return { ...value, isInteger, items: value.isInteger ? items : Float64Array.from(items, Math.trunc) };
  const isDouble = FLOAT_TYPES.get(type) === 'F64';
  return { ...value, isInteger, items: isDouble || items instanceof Float32Array ? items : new Float32Array(items) };
}

/** The last axis of an input of floats has its features; each number of one of integers is a row of an embedding. */
function castInput(value: Signal, isFloat: boolean): Signal {
  const { path } = value;
  const { input } = path;
  if (isFloat !== input.isInteger) return value;
  const last = value.axes.length - 1;
  const size = sizeOf(value.axes[last] ?? []);
  const axis: Axis = [{ id: isFloat ? FEATURES : `${input.name}[${last}]`, size }];
  const axes = last < 0 ? value.axes : value.axes.with(last, axis);
  return { ...value, axes, path: { ...path, features: isFloat ? size : undefined, input: { ...input, isInteger: !isFloat } } };
}
