import { describe, expect, test } from 'vitest';
import { copyRows } from '../../src/engine/result.ts';
import { tanhLayers } from '../../src/layers.ts';
import { Job } from '../../src/wasm/job.ts';
import { instantiateKernels } from '../../src/wasm/load.ts';
import { LinearMemory } from '../../src/wasm/memory.ts';
import { packModel, packedModelAt, packedModelBytes } from '../../src/wasm/packed-model.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { referenceReadout, referenceStep } from '../../src/wasm/reference/step.ts';
import { compiledKernels, memory, runKernels } from '../helpers/kernels.ts';
import { expectSameBits } from '../helpers/expect-bits.ts';
import { runs, sample } from '../helpers/long.ts';
import { bitsOf, randomRecurrence, recurrences, referenceStates } from '../helpers/recurrence.ts';
import { fc } from '../helpers/seed.ts';

describe('the kernels compute the bits of the plain reference', () => {
  test('the bits are right for every N, D and H up to 9', () => {
    for (let N = 1; N <= 9; N++) {
      for (let D = 1; D <= 9; D++) {
        for (let H = 1; H <= 9; H++) {
          const input = randomRecurrence({ T: 2, N, D, H }, N * 100 + D * 10 + H);
          const { hs } = runKernels(input);
          expectSameBits(hs!, referenceStates(input), `N=${N} D=${D} H=${H}`);
        }
      }
    }
  });

  test('the bits are right for every H around two wide panels, one row and five', () => {
    // D decides whether the model is narrow, and how long the blocks of x W_x are.
    for (const D of [3, 100]) {
      for (let H = 1; H <= 72; H++) {
        for (const N of sample([1, 5], 1)) {
          const input = randomRecurrence({ T: 2, N, D, H }, H);
          const { hs } = runKernels(input);
          expectSameBits(hs!, referenceStates(input), `N=${N} D=${D} H=${H}`);
        }
      }
    }
  });

  test('the bits are right for rows that tiles leave over, in bands of all widths, in both directions', () => {
    for (const T of [1, 2]) {
      for (const H of sample([16, 24, 32, 40, 48, 64, 72, 120, 128, 136, 184, 256 + 56], 5)) {
        for (const N of sample([1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13], 6)) {
          const input = randomRecurrence({ T, N, D: 90, H }, H + N);
          const expected = referenceStates(input);
          for (const way of ['one way', 'the other']) {
            const { hs } = runKernels(input);
            expectSameBits(hs!, expected, `T=${T} N=${N} H=${H}, ${way}`);
          }
        }
      }
    }
  });

  test('the bits are right for products over as many values as blocks have, one less and one more', () => {
    const sizes = [15, 16, 17, 31, 32, 33, 63, 64, 65, 96, 97, 127, 128, 129, 191, 192, 193, 223, 224, 225, 255, 256];
    for (const D of sample([...sizes, 257, 767, 768, 769, 831, 832, 833, 1_023, 1_024, 1_025], 12)) {
      const input = randomRecurrence({ T: 2, N: 5, D, H: 97 - Math.min(D, 96) + 64 }, D);
      const { hs } = runKernels(input);
      expectSameBits(hs!, referenceStates(input), `D=${D}`);
    }
  });

  test('weights whose bands are read ahead give each row the bits that it has alone', () => {
    // W_h of 8.4 and of 3.2 MiB, with trailing columns: 1480 = 23 · 64 + 8, 920 = 14 · 64 + 16 + 8.
    for (const { N, H } of [{ N: 3, H: 1_480 }, { N: 16, H: 920 }]) {
      const input = randomRecurrence({ T: 2, N, D: 100, H }, H);
      const { h } = runKernels(input, { keepsStates: false });
      for (const n of [0, N - 1]) {
        const x = Float32Array.from([0, 1].flatMap((t) => [...input.x.subarray((t * N + n) * 100, (t * N + n + 1) * 100)]));
        const alone = runKernels({ ...input, N: 1, x, h: input.h.subarray(n * H, (n + 1) * H) }, { keepsStates: false });
        expectSameBits(h.subarray(n * H, (n + 1) * H), alone.h, `N=${N} H=${H}, row ${n}`);
      }
    }
  });

  test('the bits are right for random shapes, with the last state only', () => {
    fc.assert(
      fc.property(recurrences(), (input) => {
        const { N, T, weights } = input;
        const { h, hs } = runKernels(input, { keepsStates: false });
        expect(hs).toBeUndefined();
        const last = referenceStates(input).subarray((T - 1) * N * weights.H);
        expectSameBits(h, last);
      }),
      { numRuns: runs(60) },
    );
  });

  test('the bits are right for rows of unequal length, and nothing is written behind their end', () => {
    const lengthsFor = (input: { N: number; T: number }) =>
      fc.array(fc.integer({ min: 0, max: input.T }), { minLength: input.N, maxLength: input.N });
    const cases = recurrences(20).chain((input) =>
      lengthsFor(input).map((lengths) => ({ input, lengths })),
    );
    fc.assert(
      fc.property(cases, ({ input, lengths }) => {
        const { N, h: before, weights } = input;
        const { H } = weights;
        const expected = referenceStates(input, lengths);
        const all = runKernels(input, { lengths });
        expectSameBits(all.hs!, expected);
        const last = runKernels(input, { lengths, keepsStates: false });
        for (let n = 0; n < N; n++) {
          const steps = lengths[n]!;
          const row =
            steps === 0
              ? before.subarray(n * H, (n + 1) * H)
              : expected.subarray(((steps - 1) * N + n) * H).subarray(0, H);
          expect(all.h.subarray(n * H, (n + 1) * H)).toEqual(row);
          expect(last.h.subarray(n * H, (n + 1) * H)).toEqual(row);
        }
      }),
      { numRuns: runs(100) },
    );
  });

  test('the bits are right for more steps than the ring of last states has slots', () => {
    for (const T of [1, 2, 3, 31, 63, 64, 65, 127, 130, 200]) {
      // Narrow; wide with steps ahead; wide with so many rows that there is one slot beside the last.
      const shapes = [{ N: 2, D: 1, H: 3 }, { N: 1, D: 96, H: 9 }];
      if (T === 3) shapes.push({ N: 2_050, D: 90, H: 8 });
      for (const shape of shapes) {
        const input = randomRecurrence({ T, ...shape }, T);
        const { h } = runKernels(input, { keepsStates: false });
        const last = referenceStates(input).subarray((T - 1) * shape.N * shape.H);
        expectSameBits(h, last, `T=${T} ${JSON.stringify(shape)}`);
      }
    }
  });

  test('the bits are right for readouts of all states and of the last, for rows of any length', () => {
    const cases = recurrences(40, 4).chain((input) =>
      fc.record({
        input: fc.constant(input),
        lengths: fc.array(fc.integer({ min: 0, max: input.T }), { minLength: input.N, maxLength: input.N }),
        O: fc.integer({ min: 1, max: 40 }),
      }),
    );
    const check = fc.property(cases, ({ input, lengths, O }) => {
      const { T, N, weights, h } = input;
      const { H } = weights;
      const random = pseudoRandom(O);
      const fill = (count: number) => Float32Array.from({ length: count }, random);
      const readout = { O, W_y: fill(H * O), b_y: fill(O) };
      const states = referenceStates(input, lengths);
      const expectedOf = (state: Float32Array) => referenceReadout(readout, state);
      const { y, ys } = runKernels(input, { readout, lengths });
      for (let n = 0; n < N; n++) {
        const stateAfter = (steps: number) =>
          steps === 0 ? h.subarray(n * H).subarray(0, H) : states.subarray(((steps - 1) * N + n) * H).subarray(0, H);
        expectSameBits(y!.subarray(n * O, (n + 1) * O), expectedOf(stateAfter(lengths[n]!)));
        for (let t = 0; t < T; t++) {
          const row = ys!.subarray((t * N + n) * O).subarray(0, O);
          const expected = t < lengths[n]! ? expectedOf(stateAfter(t + 1)) : new Float32Array(O);
          expectSameBits(row, expected);
        }
      }
    });
    fc.assert(check, { numRuns: runs(60) });
  });

  test('the bits are right for the trace: both products and z, of every step', () => {
    fc.assert(
      fc.property(recurrences(20, 3), (input) => {
        const { T, N, weights, x, h } = input;
        const { D, H } = weights;
        const { hs, trace } = runKernels(input, { trace: true });
        for (let t = 0; t < T; t++) {
          for (let n = 0; n < N; n++) {
            const at = t * N + n;
            const before =
              t === 0 ? h.subarray(n * H, (n + 1) * H) : hs!.subarray((at - N) * H, (at - N + 1) * H);
            const step = referenceStep(weights, x.subarray(at * D, (at + 1) * D), before);
            for (const name of ['h_W_h', 'x_W_x', 'z'] as const) {
              const row = trace![name].subarray(at * H, (at + 1) * H);
              expectSameBits(row, step[name]);
            }
          }
        }
      }),
      { numRuns: runs(60) },
    );
  });
});

describe('a row', () => {
  test('a row has the same bits among neighbours full of NaN and huge values', () => {
    fc.assert(
      fc.property(recurrences(40), fc.nat(), (input, pick) => {
        const { T, N, weights, x, h } = input;
        const { D, H } = weights;
        const n = pick % N;
        const poisoned = { ...input, x: x.slice(), h: h.slice() };
        for (let i = 0; i < x.length; i++) {
          if (Math.floor(i / D) % N !== n) poisoned.x[i] = [NaN, 3e38, -Infinity][i % 3]!;
        }
        for (let i = 0; i < h.length; i++) {
          if (Math.floor(i / H) !== n) poisoned.h[i] = NaN;
        }
        const alone = runKernels({
          ...input,
          N: 1,
          h: h.slice(n * H, (n + 1) * H),
          x: Float32Array.from({ length: T * D }, (_, i) => {
            const t = Math.floor(i / D);
            return x[(t * N + n) * D + (i % D)]!;
          }),
        });
        const among = runKernels(poisoned);
        expectSameBits(among.h.subarray(n * H, (n + 1) * H), alone.h);
      }),
      { numRuns: runs(100) },
    );
  });
});

describe('packed weights that end where linear memory ends', () => {
  // In the middle of an unrolled loop tiles have read the weights of one k more.
  const input = randomRecurrence({ T: 1, N: 7, D: 90, H: 13 }, 1);

  test('the weights are read, and nothing behind them', () => {
    expect(bitsOf([...runAtEnd(0)])).toEqual(bitsOf([...referenceStates(input)]));
  });

  test('control: weights that are placed 64 bytes further would end behind it', () => {
    expect(() => runAtEnd(64)).toThrow(/out of bounds/);
  });

  function runAtEnd(offset: number): Float32Array {
    const { T, N, weights, x, h } = input;
    const layers = tanhLayers(weights);
    const small = new LinearMemory(5 * 1024 * 1024);
    small.free(small.allocate(small.bytesMax - 65_536));
    const bytes = packedModelBytes(layers);
    const end = small.bytesGrown;
    // A packed model may be moved, since its places are offsets. The bytes that would be behind the end are b.
    packModel(layers, small.u32(end - bytes, 1).buffer, end - bytes);
    small.bytes.copyWithin(end - bytes + offset, end - bytes, end - offset);
    const model = packedModelAt(end - bytes + offset, layers);
    const job = new Job(small, model, { T, N, keepsStates: true, trace: false });
    job.x.set(x);
    job.states[0]!.h.set(h);
    instantiateKernels(compiledKernels, small.memory).run(job.ptr);
    const states = new Float32Array(N * weights.H);
    copyRows(job.finalStates()[0]!.h, states);
    return states;
  }
});

test('a finished job has freed all of its memory', () => {
  const before = memory.bytesUsed;
  runKernels(randomRecurrence({ T: 3, N: 7, D: 11, H: 13 }, 1), { trace: true });
  expect(memory.bytesUsed).toBe(before);
});
