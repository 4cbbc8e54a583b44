// The same bits for each cell and for stacks of all layers: whatever is computed with a row, however its steps are
// divided into calls, and however a job is divided into parts and slices.
import { describe, expect, test } from 'vitest';
import { type Direction, inputsOf } from '../../src/layers.ts';
import type { Job } from '../../src/wasm/job.ts';
import { instantiateKernels } from '../../src/wasm/load.ts';
import type { ReferenceInput } from '../../src/wasm/reference/model.ts';
import { type LayersOutput, compiledKernels, kernels, memory, runLayers } from '../helpers/kernels.ts';
import { difference, differenceOfRows } from '../helpers/same-bits.ts';
import { fc } from '../helpers/seed.ts';
import { DIRECTIONS, type Stack, cellsOf, stackOf, stacks } from '../helpers/stacks.ts';

const NAMES = [...cellsOf({ D: 1, H: 1, direction: 'forward' }).map(([name]) => name), 'any stack'];
const RUNS = 30;

/** Models of one cell, or of any layers; every second cell of many units is wide. */
function models(name: string, directions: readonly Direction[], rowsMax = 9): fc.Arbitrary<Stack> {
  const size = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 90 }));
  const shape = fc.record({ T: fc.integer({ min: 1, max: 8 }), N: fc.integer({ min: 1, max: rowsMax }) });
  if (name === 'any stack') return shape.chain((sizes) => stacks({ ...sizes, directions }));
  const sizes = fc.record({ D: size, H: size, direction: fc.constantFrom(...directions) });
  return fc.tuple(sizes, shape, fc.integer()).map(([drawn, TN, seed]) => {
    const [, cell] = cellsOf(drawn).find(([kind]) => kind === name)!;
    const readout = { type: 'dense', activation: 'softmax', I: drawn.H, O: 5 } as const;
    return stackOf(drawn.direction === 'bidirectional' ? [cell] : [cell, readout], TN, seed);
  });
}

describe.each(NAMES)('%s', (name) => {
  test('T steps, or parts of any lengths, have the bits of one sequence', () => {
    const cuts = models(name, ['forward']).chain((stack) => {
      const places = Array.from({ length: stack.input.T - 1 }, (_, t) => t + 1);
      return fc.tuple(fc.constant(stack), fc.oneof(fc.constant(places), fc.subarray(places)));
    });
    const property = fc.property(cuts, ([stack, places]) => {
      const whole = runLayers(stack.layers, stack.input, { trace: true });
      expect(difference(runInTurn(stack, places), whole, stack.input)).toBeUndefined();
    });
    fc.assert(property, { numRuns: RUNS });
  });

  test('a row alone has the bits it has in a batch, wherever it stands', () => {
    const property = fc.property(models(name, DIRECTIONS), fc.nat(), fc.nat(), ({ layers, input }, pick, shift) => {
      const { T, N } = input;
      const batch = runLayers(layers, input);
      const alone = runLayers(layers, rowsOf(input, [pick % N]));
      expect(differenceOfRows(alone, batch, { T, N: 1 }, [0], [pick % N], N)).toBeUndefined();
      const all = [...Array(N).keys()];
      const rotated = all.map((n) => (n + shift) % N);
      const moved = runLayers(layers, rowsOf(input, rotated));
      expect(differenceOfRows(moved, batch, input, all, rotated)).toBeUndefined();
    });
    fc.assert(property, { numRuns: RUNS });
  });

  test('parts and slices have the bits of the whole job', () => {
    const division = fc.record({
      parts: fc.integer({ min: 1, max: 5 }),
      shares: fc.array(fc.double({ min: 0, max: 0.6, noNaN: true }), { minLength: 1, maxLength: 8 }),
      keepsStates: fc.boolean(),
      trace: fc.boolean(),
    });
    let divisions = 0;
    const jobs = models(name, DIRECTIONS, 30);
    const property = fc.property(jobs, division, ({ layers, input }, { parts, shares, ...kept }) => {
      const whole = runLayers(layers, input, kept);
      const run = (job: Job) => {
        // The last part first: no part may need another.
        for (const ptr of job.split(Math.min(parts, job.partsMax)).toReversed()) kernels.run(ptr);
      };
      expect(difference(runLayers(layers, input, { ...kept, run }), whole, input)).toBeUndefined();
      const runInSlices = (job: Job) => {
        divisions += runSlices(job, parts, shares);
      };
      expect(difference(runLayers(layers, input, { ...kept, run: runInSlices }), whole, input)).toBeUndefined();
    });
    fc.assert(property, { numRuns: RUNS });
    expect(divisions).toBeGreaterThan(2 * RUNS);
  });

  test('tiles for vectors of 128 bits have the bits of those for 256', () => {
    const [tiles128, tiles256] = [128, 256].map((bits) => {
      const instance = instantiateKernels(compiledKernels, memory.memory);
      instance.useVectors(bits);
      return (job: Job) => instance.run(job.ptr);
    });
    const property = fc.property(models(name, DIRECTIONS), ({ layers, input }) => {
      const expected = runLayers(layers, input, { trace: true, run: tiles256! });
      expect(difference(runLayers(layers, input, { trace: true, run: tiles128! }), expected, input)).toBeUndefined();
    });
    fc.assert(property, { numRuns: RUNS });
  });
});

test('control: c that is not fed to the next step of an lstm changes bits', () => {
  const [, lstm] = cellsOf({ D: 2, H: 3, direction: 'forward' }).at(-1)!;
  const { layers, input } = stackOf([lstm], { T: 2, N: 1 }, 1);
  const stack = { layers, input: { ...input, lengths: undefined } };
  const whole = runLayers(layers, stack.input, { trace: true });
  expect(difference(runInTurn(stack, [1]), whole, stack.input)).toBeUndefined();
  const forgetful = runInTurn(stack, [1], ({ h }) => ({ h }));
  expect(difference(forgetful, whole, stack.input)).toBeDefined();
});

/** The rows of an input with these numbers, in this order. */
function rowsOf(input: ReferenceInput, rows: readonly number[]): ReferenceInput {
  const { T, N, x, lengths, h, c } = input;
  const gather = <A extends Float32Array | Uint32Array>(values: A, steps: number): A => {
    const columns = values.length / steps / N;
    const picked = values.slice(0, steps * rows.length * columns) as A;
    for (let t = 0; t < steps; t++) {
      for (const [i, n] of rows.entries()) {
        const at = (t * N + n) * columns;
        picked.set(values.subarray(at, at + columns), (t * rows.length + i) * columns);
      }
    }
    return picked;
  };
  const state = (values: Float32Array | undefined) => values && gather(values, 1);
  return {
    T,
    N: rows.length,
    x: gather(x, T),
    lengths: lengths && rows.map((n) => lengths[n]!),
    h: h?.map(state),
    c: c?.map(state),
  };
}

type States = Pick<ReferenceInput, 'h' | 'c'>;

/**
 * The steps between `places` in a job each, which gets the states that the one before has left.
 *
 * @param feed which of them · @returns what one job of all steps would have
 */
function runInTurn(
  { layers, input }: Stack,
  places: readonly number[],
  feed: (output: LayersOutput) => States = (output) => output,
): Partial<LayersOutput> {
  const { T, N, x, lengths } = input;
  const columns = N * inputsOf(layers[0]!);
  let states: States = input;
  const parts = [0, ...places].map((start, i) => {
    const end = places[i] ?? T;
    const some = lengths?.map((length) => Math.max(0, Math.min(length, end) - start));
    const { h, c } = states;
    const part = { T: end - start, N, x: x.slice(start * columns, end * columns), lengths: some, h, c };
    const output = runLayers(layers, part, { trace: true });
    states = feed(output);
    return output;
  });
  const { h, c, y } = parts.at(-1)!;
  const joined = (of: (output: LayersOutput) => Float32Array | undefined) =>
    of(parts[0]!) && Float32Array.from(parts.flatMap((part) => [...of(part)!]));
  const trace = parts[0]!.trace.map((_, k) => ({
    z: joined((part) => part.trace[k]!.z)!,
    gates: joined((part) => part.trace[k]!.gates),
  }));
  const ys = joined((part) => part.ys);
  return { h, c, ...(y && { y }), hs: joined(({ hs }) => hs), ...(ys && { ys }), trace };
}

/** Runs the parts alternately, as several threads do; returns the number of slices. */
function runSlices(job: Job, parts: number, shares: readonly number[]): number {
  let count = 0;
  let waiting = job.slice(Math.min(parts, job.partsMax));
  while (waiting.length > 0) {
    waiting = waiting.filter((part) => {
      kernels.run(part.next(shares[count++ % shares.length]!).ptr);
      return !part.isDone;
    });
  }
  return count;
}
