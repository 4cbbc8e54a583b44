// What bench:kernels measures of recurrent layers: every cell, with sizes D = H.
import { type CellType, GATES } from '../../src/layers.ts';
import { type Sizes, flopsOf as flopsOfSizes } from '../cases/sequence-case.ts';

const H_ALL = [64, 128, 256, 512, 1024];
const T_ALL = [1, 100];
const N_ALL = [1, 8, 32];

export const CELLS = Object.keys(GATES) as CellType[];

/** One line of a table. */
export interface Point extends Sizes {
  readonly cell: CellType;
}

export function allPoints(cells: readonly CellType[]): Point[] {
  const sizes = H_ALL.flatMap((H) => T_ALL.flatMap((T) => N_ALL.map((N) => ({ T, N, D: H, H }))));
  return cells.flatMap((cell) => sizes.map((each) => ({ cell, ...each })));
}

/** The smaller sizes, for `--quick`. */
export function quickPoints(cells: readonly CellType[]): Point[] {
  return only(allPoints(cells), 'H=64|256,N=1|32');
}

/** `--cell`. @throws Error unless it is the name of a cell, or `all` */
export function cellsOf(option: string): CellType[] {
  if (option === 'all') return CELLS;
  const cell = CELLS.find((each) => each === option);
  if (cell) return [cell];
  throw new Error(`--cell must be one of ${CELLS.join(', ')} or all, not ${option}.`);
}

/**
 * The points that match a filter like `H=64|128,N=1`.
 *
 * @throws Error if the filter cannot be read, or if no point matches it
 */
export function only(points: readonly Point[], filter: string): Point[] {
  const wanted = filter.split(',').map((condition) => {
    const [, name, values] = /^([HTN])=(\d+(?:\|\d+)*)$/.exec(condition) ?? [];
    if (!name) throw new Error(`--only takes conditions like H=64|128,N=1, not ${condition}.`);
    return { name: name as 'H' | 'T' | 'N', values: values!.split('|').map(Number) };
  });
  const left = points.filter((point) => wanted.every(({ name, values }) => values.includes(point[name])));
  if (left.length === 0) throw new Error(`--only ${filter} leaves nothing to measure.`);
  return left;
}

export function flopsOf(point: Point): number {
  return flopsOfSizes(point, point.cell);
}

export function nameOf({ H, T, N }: Sizes): string {
  return `H=${String(H).padEnd(4)} T=${String(T).padEnd(3)} N=${N}`;
}
