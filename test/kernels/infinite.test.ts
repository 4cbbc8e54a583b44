// A relu layer may have an infinite state at some step and finite ones later; then its job has a note of the row and the
// step. A state that is not finite stays so in all other cells.
import { describe, expect, test } from 'vitest';
import type { Layer, RecurrentLayer, RnnActivation } from '../../src/layers.ts';
import { Job, type JobShape } from '../../src/wasm/job.ts';
import { placeModel } from '../../src/wasm/packed-model.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { randomLayers } from '../../src/wasm/random-layers.ts';
import { kernels, memory } from '../helpers/kernels.ts';
import { elementsOf } from '../helpers/stack-cases.ts';

const H = 2;
const HUGE = 3e38;
const NARROW = 3;
const WIDE = 100;

/**
 * h = f(2 x_0 - h_0 - h_1) in both columns: after x_0 = HUGE the state of a relu layer is infinite, after the next one 0. The
 * other inputs do not matter.
 */
function forgetful(D: number, activation: RnnActivation, direction: RecurrentLayer['direction'] = 'forward'): Layer {
  const W_x = new Float32Array(D * H);
  W_x.fill(2, 0, H);
  const weights = { W_x, W_h: new Float32Array(H * H).fill(-1), b: new Float32Array(H) };
  const layer = { type: 'rnn', activation, D, H, direction, weights } as const;
  return direction === 'bidirectional' ? { ...layer, backward: weights } : layer;
}

type Place = readonly [n: number, t: number];

/** Runs a job whose x is 1 but for the x_0 of some rows at some steps, which are HUGE. */
function run(layers: readonly Layer[], D: number, shape: Pick<JobShape, 'T' | 'N' | 'lengths'>, huge: readonly Place[], parts = 0) {
  const model = placeModel(memory, layers);
  const job = new Job(memory, model, { ...shape, keepsStates: false, trace: false });
  job.x.fill(1);
  for (const [n, t] of huge) job.x[(t * shape.N + n) * D] = HUGE;
  if (parts === 0) kernels.run(job.ptr);
  for (const part of parts === 0 ? [] : job.slice(parts)) {
    while (!part.isDone) kernels.run(part.next(0.2).ptr);
  }
  const areFinite = job.finalStates().every(({ h }) => elementsOf(h).every(Number.isFinite));
  const result = { infinite: job.infiniteState(), areFinite };
  job.release();
  memory.free(model.ptr);
  return result;
}

describe.each([
  ['narrow', NARROW],
  ['wide', WIDE],
])('a %s relu layer', (_, D) => {
  const relu = forgetful(D, 'relu');

  test('an infinite state is noted with its row and step, although the final states are finite', () => {
    for (const t of [0, 1, 4]) {
      expect(run([relu], D, { T: 6, N: 3 }, [[1, t]])).toEqual({ infinite: { n: 1, t }, areFinite: true });
    }
    const atEnd = run([relu], D, { T: 6, N: 3 }, [[1, 5]]);
    expect(atEnd).toEqual({ infinite: { n: 1, t: 5 }, areFinite: false });
  });

  test('states that are all finite are not noted, nor is what the job before has left', () => {
    expect(run([relu], D, { T: 6, N: 3 }, [[1, 2]]).infinite).toBeDefined();
    expect(run([relu], D, { T: 6, N: 3 }, [])).toEqual({ infinite: undefined, areFinite: true });
  });

  test('of several infinite states of a row, the first is noted', () => {
    expect(run([relu], D, { T: 6, N: 3 }, [[2, 4], [2, 1]]).infinite).toEqual({ n: 2, t: 1 });
  });

  test('rows of unequal length are noted by their numbers, and steps behind their end are not', () => {
    const shape = { T: 6, N: 4, lengths: [2, 0, 6, 4] };
    for (const [n, t] of [[0, 0], [2, 4], [3, 2]] as const) {
      expect(run([relu], D, shape, [[n, t], [1, 0], [0, 2]])).toEqual({ infinite: { n, t }, areFinite: true });
    }
    expect(run([relu], D, shape, [[1, 0], [0, 2], [3, 5]]).infinite).toBeUndefined();
  });

  test('a job in slices and parts has the same note', () => {
    for (const n of [0, 7, 11]) {
      const { infinite, areFinite } = run([relu], D, { T: 9, N: 12 }, [[n, 3]], 3);
      expect({ infinite, areFinite }).toEqual({ infinite: { n, t: 3 }, areFinite: true });
    }
  });

  test('a reversed layer, and one in both directions, are noted with the step of the sequence', () => {
    const shape = { T: 6, N: 3, lengths: [6, 3, 5] };
    for (const direction of ['reverse', 'bidirectional'] as const) {
      const layer = forgetful(D, 'relu', direction);
      expect(run([layer], D, shape, [[1, 1]])).toEqual({ infinite: { n: 1, t: 1 }, areFinite: true });
      expect(run([layer], D, shape, [[1, 4]]).infinite).toBeUndefined();
    }
  });

  test('layers in front of it and behind it do not hide it', () => {
    const random = pseudoRandom(1);
    const scale = { type: 'affine', D, scale: new Float32Array(D).fill(1), offset: new Float32Array(D) } as const;
    const [lstm] = randomLayers([{ type: 'lstm', D: H, H: 3, direction: 'forward' }], random);
    const [dense] = randomLayers([{ type: 'dense', I: 3, O: 2, activation: 'softmax' }], random);
    const { infinite } = run([scale, relu, lstm!, dense!], D, { T: 6, N: 2 }, [[1, 3]]);
    expect(infinite).toEqual({ n: 1, t: 3 });
  });

  test('control: a tanh layer of the same weights has no such state', () => {
    const layer = forgetful(D, 'tanh');
    expect(run([layer], D, { T: 6, N: 3 }, [[1, 2]])).toEqual({ infinite: undefined, areFinite: true });
  });
});
