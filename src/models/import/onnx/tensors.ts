// Constants of a graph as tensors of layers.
import type { FileTensor } from '../layer.ts';
import { countOf, itemsAt, namesOf, piecesAt } from './constants.ts';
import type { Constant } from './value.ts';

/**
 * A tensor of a layer, which is a constant or a part of it.
 *
 * @param axes as FileTensor has them
 * @param shape its shape, if that is another
 * @param part where it begins in the constant, and what stands behind the name then, unless it is one tensor of the file
 */
export function fileTensor(
  constant: Constant,
  axes: readonly string[],
  shape: readonly number[] = constant.shape,
  part: { readonly start: number; readonly suffix: string } = { start: 0, suffix: '' },
): FileTensor {
  const count = countOf(shape);
  const items = itemsAt(constant.items, part.start, count);
  const isTyped = items instanceof Float32Array || items instanceof Float64Array;
  const data = isTyped ? items : Float64Array.from(items as readonly number[]);
  const names = namesOf([{ pieces: piecesAt(constant, part.start, count) }]).join(', ');
  const name = isWhole(constant, part.start) && isWhole(constant, part.start + count) ? names : `${names}${part.suffix}`;
  return { name, tensor: { dtype: data instanceof Float32Array ? 'F32' : 'F64', shape, data }, axes };
}

/** Whether a piece begins there, or all end. */
function isWhole({ pieces }: Constant, start: number): boolean {
  let at = 0;
  for (const { count } of pieces) {
    if (at === start) return true;
    at += count;
  }
  return at === start;
}
