// The shapes that bench:kernels measures; D = H in all of them.
import type { Sizes } from '../cases/sequence-case.ts';

const H_ALL = [64, 128, 256, 512, 1024];
const T_ALL = [1, 100];
const N_ALL = [1, 8, 32];

export function allCells(): Sizes[] {
  return H_ALL.flatMap((H) => T_ALL.flatMap((T) => N_ALL.map((N) => ({ T, N, D: H, H }))));
}

/** The smaller shapes, for `--quick`. */
export function quickCells(): Sizes[] {
  return only(allCells(), 'H=64|256,N=1|32');
}

/**
 * The cells that match a filter like `H=64|128,N=1`.
 *
 * @throws Error if the filter cannot be read, or if no cell matches it
 */
export function only(cells: readonly Sizes[], filter: string): Sizes[] {
  const wanted = filter.split(',').map((condition) => {
    const [, name, values] = /^([HTN])=(\d+(?:\|\d+)*)$/.exec(condition) ?? [];
    if (!name) throw new Error(`--only takes conditions like H=64|128,N=1, not ${condition}.`);
    return { name: name as 'H' | 'T' | 'N', values: values!.split('|').map(Number) };
  });
  const left = cells.filter((cell) =>
    wanted.every(({ name, values }) => values.includes(cell[name])),
  );
  if (left.length === 0) throw new Error(`--only ${filter} leaves nothing to measure.`);
  return left;
}

export function nameOf({ H, T, N }: Sizes): string {
  return `H=${String(H).padEnd(4)} T=${String(T).padEnd(3)} N=${N}`;
}
