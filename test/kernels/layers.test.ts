// Models with layers: the kernels compute the bits of the plain reference, for each cell by itself over all edges of
// tiles, panels, blocks and rings, and for random stacks.
import { describe, expect, test } from 'vitest';
import type { RecurrentSpec } from '../../src/layers.ts';
import { referenceModel } from '../../src/wasm/reference/model.ts';
import { type LayersOptions, runLayers } from '../helpers/kernels.ts';
import { runs, sample } from '../helpers/long.ts';
import { difference, differenceOfRows } from '../helpers/same-bits.ts';
import { fc } from '../helpers/seed.ts';
import { DIRECTIONS, type Stack, cellsOf, stackOf, stacks } from '../helpers/stacks.ts';

type Sizes = Partial<Pick<RecurrentSpec, 'D' | 'H' | 'direction'>>;

const KINDS = cellsOf({ D: 1, H: 1, direction: 'forward' });

/** What is kept of the two runs of a job; its bands are computed in one direction, then in the other. */
const BOTH: readonly LayersOptions[] = [{}, { keepsStates: false, trace: true }];

describe.each(sample(KINDS, 3))('the bits of the reference: %s', (_, kind) => {
  /** Compares batches of the first rows, for each number of rows in `counts`, with the reference of all of them. */
  const check = (sizes: Sizes, T: number, counts: readonly number[], options: readonly LayersOptions[]) => {
    const spec = { ...kind, ...sizes } as RecurrentSpec;
    const { layers, input } = stackOf([spec], { T, N: Math.max(...counts) }, 100 * spec.D + spec.H);
    const expected = referenceModel(layers, input);
    for (const N of counts) {
      const rows = [...Array(N).keys()];
      const batch = firstRows(input, N);
      for (const option of options) {
        const found = differenceOfRows(runLayers(layers, batch, option), expected, { T, N }, rows, rows, input.N);
        expect(found && `T=${T} N=${N} D=${spec.D} H=${spec.H} ${spec.direction}: ${found}`).toBeUndefined();
      }
    }
  };

  test('every N, D and H up to 9, one step and some', () => {
    for (let D = 1; D <= 9; D++) {
      for (let H = 1; H <= 9; H++) {
        // All directions and numbers of steps occur with every H.
        const [direction, T] = [DIRECTIONS[D % 3]!, 1 + (D % 2) * 2];
        check({ D, H, direction }, T, [1, 2, 3, 4, 5, 6, 7, 8, 9], [BOTH[H % 2]!]);
      }
    }
  });

  test('every H around the widths of panels, narrow and wide', () => {
    for (const D of [3, 97]) {
      for (let H = 1; H <= 41; H++) check({ D, H, direction: DIRECTIONS[H % 3]! }, 1 + (H % 2), [1, 5], [BOTH[H % 2]!]);
    }
  });

  test('rows that tiles leave over, bands of all widths, in both directions', () => {
    for (const T of [1, 2]) {
      for (const H of [8, 24, 40, 136]) check({ D: 90, H }, T, [1, 2, 3, 4, 5, 6, 7, 9], BOTH);
    }
  });

  test('products over as many values as blocks have, one less and one more', () => {
    for (const D of [87, 88, 112, 192, 193, 224, 768, 769]) check({ D, H: 9 }, 2, [1, 3], BOTH);
    for (const H of [94, 95, 192, 193]) check({ D: 2, H }, 2, [1, 2], BOTH);
    check({ D: 2, H: 769 }, 1, [1], [{}]);
  });

  test('more steps than the ring of last states has slots', () => {
    for (const T of [2, 63, 64, 65, 130, 200]) {
      check({ D: 1, H: 3 }, T, [2], BOTH);
      check({ D: 96, H: 3, direction: DIRECTIONS[T % 3]! }, T, [1], BOTH);
    }
    // Of so many rows a time block is one step.
    check({ D: 93, H: 4 }, 3, [2_050], [{ keepsStates: false }]);
  });
});

/** The first N rows of an input. */
function firstRows(input: Stack['input'], N: number): Stack['input'] {
  const { T, x, lengths, h, c } = input;
  const columns = x.length / T / input.N;
  const few = x.slice(0, T * N * columns);
  for (let t = 0; t < T; t++) few.set(x.subarray(t * input.N * columns, (t * input.N + N) * columns), t * N * columns);
  const rows = (state: Float32Array | undefined) => state?.subarray(0, (state.length / input.N) * N);
  return { T, N, x: few, lengths: lengths?.slice(0, N), h: h?.map(rows), c: c?.map(rows) };
}

describe('random stacks of all kinds of layers', () => {
  const options = fc.record({ keepsStates: fc.boolean(), trace: fc.boolean() });
  const check = (arbitrary: fc.Arbitrary<Stack>, numRuns: number) => {
    const property = fc.property(arbitrary, options, ({ layers, input }, option) => {
      const expected = referenceModel(layers, input);
      expect(difference(runLayers(layers, input, option), expected, input)).toBeUndefined();
      // A second time: bands in the other direction, in memory that has the results of the first.
      expect(difference(runLayers(layers, input, option), expected, input)).toBeUndefined();
    });
    fc.assert(property, { numRuns: runs(numRuns) });
  };

  test('the bits are right', () => {
    check(stacks(), 100);
  });

  test('the bits are right for more rows than are computed at a time', () => {
    check(stacks({ N: 50, T: 3, size: 9 }), 30);
  });

  test('the bits are right for more steps than the ring has slots', () => {
    check(stacks({ T: 130, N: 2, size: 9 }), 30);
    check(stacks({ T: 70, N: 1, size: 70, depth: 2 }), 4);
  });
});

describe('control: a difference is found', () => {
  const spec = cellsOf({ D: 3, H: 5, direction: 'bidirectional' }).at(-1)![1];
  const dense = { type: 'dense', activation: 'softmax', I: 10, O: 3 } as const;
  const { layers, input } = stackOf([spec, dense], { T: 2, N: 3 }, 1);
  const expected = referenceModel(layers, { ...input, lengths: undefined });
  const actual = () => runLayers(layers, { ...input, lengths: undefined }, { trace: true });

  test.each(['h.1', 'c.1', 'hs', 'y', 'ys', 'z.1', 'gates.1'])('of one bit in %s', (name) => {
    const output = actual();
    const { h, c, hs, y, ys, trace } = output;
    const tensors: Record<string, Float32Array> = {
      'h.1': h[1]!, 'c.1': c[1]!, hs: hs!, y: y!, ys: ys!, 'z.1': trace[1]!.z, 'gates.1': trace[1]!.gates!,
    };
    expect(difference(output, expected, input)).toBeUndefined();
    new Uint32Array(tensors[name]!.buffer)[tensors[name]!.length - 1]! ^= 1;
    expect(difference(output, expected, input)).toContain(`${name}: step `);
  });

  test('of the sign of a zero', () => {
    const [h, negative] = [new Float32Array(3), Float32Array.of(0, -0, 0)];
    expect(difference({ h: [negative] }, { h: [h] }, { T: 1, N: 3 })).toBe('h.0: step 0, row 1, column 0 is 0, not 0');
  });

  test('of a weight that is one bit larger', () => {
    const [first, ...more] = layers as [Extract<Stack['layers'][number], { type: 'lstm' }>, ...Stack['layers']];
    const b = first.weights.b.slice();
    b[0]! += 2 ** -20;
    const other = [{ ...first, weights: { ...first.weights, b } }, ...more];
    expect(difference(runLayers(other, { ...input, lengths: undefined }), expected, input)).toBeDefined();
  });
});
