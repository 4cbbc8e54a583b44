// The plain reference against the formulas in float64 (helpers/formulas.ts), over random models.
import { describe, expect, test } from 'vitest';
import { directionsOf, isRecurrent, outputsOf } from '../../src/layers.ts';
import { isNarrow } from '../../src/wasm/panels.ts';
import { referenceModel } from '../../src/wasm/reference/model.ts';
import { rowThrough } from '../helpers/formulas.ts';
import { runs } from '../helpers/long.ts';
import { fc } from '../helpers/seed.ts';
import { randomStack, type Stack, stacks } from '../helpers/stacks.ts';

/** Relative for values above 1, else absolute: errors of rounding are below 1e-6. */
const TOLERANCE = 1e-5;

describe('random models', () => {
  test('each row has the results of the formulas', () => {
    const check = fc.property(stacks(), (stack) => {
      for (let n = 0; n < stack.input.N; n++) {
        expect(errorOf(computedOf(stack, n), expectedOf(stack, n)), `row ${n}`).toBeLessThan(TOLERANCE);
      }
    });
    fc.assert(check, { numRuns: runs(300) });
  });

  test('what has an axis T is 0 beyond the length of a row', () => {
    const check = fc.property(stacks(), ({ layers, input }) => {
      const { hs, ys = hs, trace } = referenceModel(layers, input);
      const { T, N, lengths = [] } = input;
      for (const values of [hs, ys, ...trace.flatMap(({ z, gates }) => [z, gates])]) {
        const size = values.length / (T * N);
        const beyond = values.filter((_, i) => Math.floor(i / size / N) >= (lengths[Math.floor(i / size) % N] ?? T));
        expect(beyond.every((value) => Object.is(value, 0))).toBe(true);
      }
    });
    fc.assert(check, { numRuns: runs(100) });
  });

  test('a sequence continues from its states with the same bits, wherever it is split', () => {
    const check = fc.property(stacks({ directions: ['forward'] }), fc.nat(), ({ layers, input }, at) => {
      const whole = { ...input, lengths: undefined };
      const expected = referenceModel(layers, whole);
      const { T, x } = whole;
      const k = at % (T + 1);
      const split = (k * x.length) / T;
      const head = referenceModel(layers, { ...whole, T: k, x: x.subarray(0, split) });
      const tail = referenceModel(layers, { ...whole, T: T - k, x: x.subarray(split), h: head.h, c: head.c });
      expect([...head.hs, ...tail.hs]).toEqual([...expected.hs]);
      expect([...(head.ys ?? []), ...(tail.ys ?? [])]).toEqual([...(expected.ys ?? [])]);
      expect([tail.h, tail.c, tail.y]).toEqual([expected.h, expected.c, expected.y]);
    });
    fc.assert(check, { numRuns: runs(100) });
  });

  test('y is ys at the last step of a row, if no layer is reversed', () => {
    const check = fc.property(stacks({ directions: ['forward'] }), ({ layers, input }) => {
      const { ys, y } = referenceModel(layers, input);
      const { T, N, lengths = Array<number>(N).fill(T) } = input;
      expect(ys === undefined).toBe(isRecurrent(layers.at(-1)!));
      const O = outputsOf(layers.at(-1)!);
      for (const [n, length] of lengths.entries()) {
        if (!ys || length === 0) continue;
        expect(y!.subarray(n * O, (n + 1) * O)).toEqual(ys.subarray(((length - 1) * N + n) * O).subarray(0, O));
      }
    });
    fc.assert(check, { numRuns: runs(100) });
  });

  test('control: the models have layers of every kind, direction and width, and rows of length 0', () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 300; seed++) {
      const { layers, input } = randomStack({ depth: 1 + (seed % 5), size: 80, T: 3, N: 2 }, seed);
      if (input.lengths?.includes(0)) seen.add('length 0');
      for (const layer of layers) {
        if (!isRecurrent(layer)) {
          seen.add(layer.type === 'dense' ? `dense ${layer.activation}` : layer.type);
          continue;
        }
        const kind = layer.type === 'rnn' ? layer.activation : layer.type === 'gru' ? layer.reset : '';
        const width = isNarrow(layer.D + layer.H) ? 'narrow' : 'wide';
        seen.add(`${layer.type} ${kind} ${layer.direction} ${width}`);
      }
    }
    // 5 cells, 3 directions, 2 widths; 5 activations of dense layers, affine, embedding, length 0.
    expect(seen.size, [...seen].join(', ')).toBe(5 * 3 * 2 + 5 + 1 + 1 + 1);
  });
});

type Tensors = Readonly<Record<string, readonly number[]>>;

/** What the formulas give for row n, flat. */
function expectedOf({ layers, input }: Stack, n: number): Tensors {
  const { T, N, x, lengths, h, c } = input;
  const xs = Array.from({ length: lengths?.[n] ?? T }, (_, t) => rowAt(x, t * N + n, T * N));
  const cells = layers.filter((layer) => isRecurrent(layer)).flatMap((layer) => directionsOf(layer).map(() => layer));
  const stateOf = (state: Float32Array | undefined, H: number) =>
    state ? rowAt(state, n, N) : Array<number>(H).fill(0);
  const output = rowThrough(
    layers,
    xs,
    cells.map(({ H }, k) => stateOf(h?.[k], H)),
    cells.map(({ type, H }, k) => (type === 'lstm' ? stateOf(c?.[k], H) : [])),
  );
  const steps = output.trace.flat();
  return {
    hs: output.hs.flat(),
    h: output.h.flat(),
    c: output.c.flat(),
    ys: output.ys.flat(),
    y: output.y,
    z: steps.flatMap(({ z }) => z),
    gates: steps.flatMap(({ gates }) => gates),
  };
}

/** The same of the reference; without layers behind the last recurrent one, ys is hs. */
function computedOf({ layers, input }: Stack, n: number): Tensors {
  const { T, N, lengths } = input;
  const { hs, h, c, ys = hs, y, trace } = referenceModel(layers, input);
  const steps = (values: Float32Array) =>
    Array.from({ length: lengths?.[n] ?? T }, (_, t) => rowAt(values, t * N + n, T * N)).flat();
  return {
    hs: steps(hs),
    h: h.flatMap((state) => rowAt(state, n, N)),
    c: c.flatMap((state) => (state ? rowAt(state, n, N) : [])),
    ys: steps(ys),
    ...(y && { y: rowAt(y, n, N) }),
    z: trace.flatMap(({ z }) => steps(z)),
    gates: trace.flatMap(({ gates }) => steps(gates)),
  };
}

/** Row number `at` of `count`. */
function rowAt(values: Float32Array | Uint32Array, at: number, count: number): number[] {
  const size = values.length / count;
  return [...values.subarray(at * size, (at + 1) * size)];
}

/** The largest error of all tensors; of values above 1 the relative one. */
function errorOf(computed: Tensors, expected: Tensors): number {
  let worst = 0;
  for (const [name, values] of Object.entries(computed)) {
    expect(values, name).toHaveLength(expected[name]!.length);
    for (const [i, value] of values.entries()) {
      const right = expected[name]![i]!;
      worst = Math.max(worst, Math.abs(value - right) / Math.max(1, Math.abs(right)));
    }
  }
  return worst;
}
