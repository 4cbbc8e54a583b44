// Tensors of a result that are needed after its memory was freed.
import type { TensorView } from '../../tensor.ts';
import { type TensorTree, type Tensors, isTensor } from './segments.ts';

/** The same tree with copies of its tensors, each row-major without padding. */
export function copiedTensors(tensors: Tensors): Tensors {
  return Object.fromEntries(Object.entries(tensors).map(([name, tree]) => [name, tree === undefined ? undefined : copied(tree)]));
}

function copied(tree: TensorTree): TensorTree {
  if (typeof tree !== 'object' || tree === null) return tree;
  if (Array.isArray(tree)) return tree.map(copied);
  return isTensor(tree) ? copyOf(tree) : copiedTensors(tree as Tensors);
}

function copyOf({ shape, strides, data }: TensorView): TensorView {
  const sizes = shape.reduceRight<number[]>((rest, size) => [size * (rest[0] ?? 1), ...rest], []);
  const copy = new Float32Array(sizes[0] ?? 1);
  const fill = (axis: number, from: number, to: number): void => {
    if (axis === shape.length - 1) return copy.set(data.subarray(from, from + shape[axis]!), to);
    for (let i = 0; i < shape[axis]!; i++) fill(axis + 1, from + i * strides[axis]!, to + i * (sizes[axis + 1] ?? 1));
  };
  fill(0, 0, 0);
  return { shape, strides: [...sizes.slice(1), 1], data: copy };
}
