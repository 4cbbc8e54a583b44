// Which axes a Reshape merges and splits. Its target is a list of sizes, in which open ones are known by the axis that
// they are of; the parts of the axes (Atom) keep their order, and each of them has to go to one axis as a whole.
import { type Size, isSame, product } from './size.ts';
import type { Axis } from './value.ts';

export function sizeOf(axis: Axis): Size {
  return axis.reduce<Size>((size, atom) => product(size, atom.size), 1);
}

/**
 * The axes behind a Reshape.
 *
 * @param target sizes, of which one may be -1 (what is left); 0 stands for the size of the same axis before
 * @param allowsZero whether 0 stands for 0
 * @returns undefined unless each new axis is made of whole parts of the old ones
 */
export function reshapedAxes(axes: readonly Axis[], target: readonly Size[], allowsZero: boolean): Axis[] | undefined {
  const sizes = target.map((size, i) => (size === 0 && !allowsZero && axes[i] ? sizeOf(axes[i]) : size));
  const atoms = axes.flat();
  const open = sizes.indexOf(-1);
  // From the last on: where a size of 1 could be several parts, the features, which are last, stay last.
  const back = takeBack(atoms, sizes.slice(open + 1));
  if (!back) return undefined;
  if (open < 0) return withRest(back);
  const front = takeFront(back.rest, sizes.slice(0, open));
  return front && [...front.axes, front.rest, ...back.axes];
}

interface Taken {
  readonly axes: Axis[];
  /** What was not needed. */
  readonly rest: Axis;
}

/** Takes from the front, for each size, the parts of which it is the product. */
function takeFront(atoms: Axis, sizes: readonly Size[]): Taken | undefined {
  let at = 0;
  const axes: Axis[] = [];
  for (const size of sizes) {
    const start = at;
    let taken: Size = 1;
    if (size === 1 && atoms[at]?.size === 1) at++;
    while (!isSame(taken, size)) {
      const next = atoms[at++];
      if (!next) return undefined;
      taken = product(taken, next.size);
    }
    axes.push(atoms.slice(start, at));
  }
  return { axes, rest: atoms.slice(at) };
}

function takeBack(atoms: Axis, sizes: readonly Size[]): Taken | undefined {
  const taken = takeFront(atoms.toReversed(), sizes.toReversed());
  return taken && { axes: taken.axes.toReversed().map((axis) => axis.toReversed()), rest: taken.rest.toReversed() };
}

/** Only parts of size 1 may be left, and go to the first axis. */
function withRest({ axes, rest }: Taken): Axis[] | undefined {
  if (rest.some(({ size }) => size !== 1)) return undefined;
  return axes.map((axis, i) => (i === 0 ? [...rest, ...axis] : axis));
}
