// Whether two computations of a model with layers have the same bits, and where they first differ.
import type { ReferenceInput, ReferenceOutput } from '../../src/wasm/reference/model.ts';
import type { LayersOutput } from './kernels.ts';

type Size = Pick<ReferenceInput, 'T' | 'N'>;
type Output = Partial<LayersOutput> | ReferenceOutput;

/** (steps, N, columns), or (N, columns) with one step. */
interface Tensor {
  readonly name: string;
  readonly numbers: Float32Array;
  readonly steps: number;
}

/** All that `computed` has is compared, at least h; every NaN is as good as another. @returns the first that differs */
export function difference(computed: Output, expected: Output, size: Size): string | undefined {
  return differenceOfRows(computed, expected, size, [...Array(size.N).keys()]);
}

/**
 * As difference(), of some rows.
 *
 * @param rows of `computed` · @param expectedRows those of `expected` to compare them with; absent: the same
 * @param expectedN rows of `expected`; absent: as many
 */
export function differenceOfRows(
  computed: Output,
  expected: Output,
  { T, N }: Size,
  rows: readonly number[],
  expectedRows: readonly number[] = rows,
  expectedN = N,
): string | undefined {
  const promised = new Map(tensorsOf(expected, T).map((tensor) => [tensor.name, tensor.numbers]));
  for (const { name, numbers, steps } of tensorsOf(computed, T)) {
    const others = promised.get(name);
    const columns = numbers.length / steps / N;
    if (others?.length !== columns * steps * expectedN) {
      throw new Error(`${name} has ${numbers.length} elements for ${N} rows, and ${others?.length} for ${expectedN}`);
    }
    for (let t = 0; t < steps; t++) {
      for (const [i, n] of rows.entries()) {
        const at = (t * N + n) * columns;
        const otherAt = (t * expectedN + expectedRows[i]!) * columns;
        for (let j = 0; j < columns; j++) {
          const [number, other] = [numbers[at + j]!, others[otherAt + j]!];
          if (number === other && (number !== 0 || Object.is(number, other))) continue;
          if (Object.is(number, other)) continue;
          return `${name}: step ${t}, row ${n}, column ${j} is ${number}, not ${other}`;
        }
      }
    }
  }
  return undefined;
}

function tensorsOf({ h = [], c = [], hs, y, ys, trace = [] }: Output, T: number): Tensor[] {
  if (h.length === 0) throw new Error('There is no h');
  const all: [string, Float32Array | undefined, number][] = [
    ...h.map((numbers, k) => [`h.${k}`, numbers, 1] as [string, Float32Array, number]),
    ...c.map((numbers, k) => [`c.${k}`, numbers, 1] as [string, Float32Array | undefined, number]),
    ['hs', hs, T],
    ['y', y, 1],
    ['ys', ys, T],
    ...trace.flatMap(({ z, gates }, k): [string, Float32Array | undefined, number][] => [
      [`z.${k}`, z, T],
      [`gates.${k}`, gates, T],
    ]),
  ];
  return all.flatMap(([name, numbers, steps]) => (numbers ? [{ name, numbers, steps }] : []));
}
