// A packed model describes itself: a record for each layer and direction, and the weights where the record says.
import { describe, expect, test } from 'vitest';
import {
  AFFINE,
  DENSE,
  EMBEDDING,
  GRU_AFTER,
  GRU_BEFORE,
  LAYER_BYTES,
  LINEAR,
  LSTM,
  MODEL_BYTES,
  MODEL_LAYERS,
  NR,
  RELU,
  RNN,
  SIGMOID,
  SOFTMAX,
  TANH,
  WIDE,
} from '../../src/kernels/layout.ts';
import { type Layer, type LayerSpec, type RecurrentLayer, isRecurrent } from '../../src/layers.ts';
import { LayerRecord } from '../../src/wasm/job-records.ts';
import { LinearMemory } from '../../src/wasm/memory.ts';
import { packModel, packedModelAt, packedModelBytes, placeModel } from '../../src/wasm/packed-model.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { randomLayers } from '../../src/wasm/random-layers.ts';
import { runs } from '../helpers/long.ts';
import { fc } from '../helpers/seed.ts';
import { stacks } from '../helpers/stack-cases.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;
const F64 = Float64Array.BYTES_PER_ELEMENT;
const GUARD = 0xa5;

const memory = new LinearMemory(32 * 1024 * 1024);
const paddedTo = (columns: number) => Math.ceil(columns / NR) * NR;

/** Packs into a block full of NaN between guards. @returns its address · @throws if something else was written to */
function packed(layers: readonly Layer[], pack: (buffer: SharedArrayBuffer, ptr: number) => void): number {
  const bytes = packedModelBytes(layers);
  const block = memory.allocate(bytes + 128);
  memory.u8(block, bytes + 128).fill(GUARD);
  memory.u8(block + 64, bytes).fill(0xff);
  pack(memory.u32(block, 1).buffer, block + 64);
  for (const guard of [memory.u8(block, 64), memory.u8(block + 64 + bytes, 64)]) {
    expect(guard.every((byte) => byte === GUARD), 'nothing is written beyond the block').toBe(true);
  }
  memory.free(block);
  return block + 64;
}

interface Region {
  readonly at: number;
  readonly bytes: number;
}

/** What the record of a layer has to say, and the columns of its regions, each H or O of them padded. */
interface Expected {
  readonly kind: number;
  readonly activation: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly isNarrow: boolean;
  readonly isReverse: boolean;
  /** Rows and columns, in multiples of the padded outputs. */
  readonly W_x: readonly [rows: number, columns: number];
  readonly W_h: readonly [rows: number, columns: number];
  readonly b: number;
}

const ACTIVATIONS = { linear: LINEAR, relu: RELU, tanh: TANH, sigmoid: SIGMOID, softmax: SOFTMAX };
const NONE = [0, 0] as const;

function expectedOf(spec: LayerSpec, isReverse: boolean): Expected {
  const rest = { activation: 0, isReverse: false, W_h: NONE };
  if (spec.type === 'embedding') {
    const { V, D } = spec;
    return { ...rest, kind: EMBEDDING, inputs: V, outputs: D, isNarrow: false, W_x: [V, 1], b: 0 };
  }
  if (spec.type === 'affine') {
    return { ...rest, kind: AFFINE, inputs: spec.D, outputs: spec.D, isNarrow: false, W_x: [1, 1], b: 1 };
  }
  if (spec.type === 'dense') {
    const activation = ACTIVATIONS[spec.activation];
    return { ...rest, kind: DENSE, activation, inputs: spec.I, outputs: spec.O, isNarrow: spec.I <= 96, W_x: [spec.I, 1], b: 1 };
  }
  const { D, H } = spec;
  const sizes = { inputs: D, outputs: H, isNarrow: D + H <= 96, isReverse };
  switch (spec.type) {
    case 'rnn':
      return { ...sizes, kind: RNN, activation: ACTIVATIONS[spec.activation], W_x: [D, 1], W_h: [H, 1], b: 1 };
    case 'gru': {
      const isAfter = spec.reset === 'after';
      const kind = isAfter ? GRU_AFTER : GRU_BEFORE;
      // With reset after, n has a bias for each of its products.
      return { ...sizes, kind, activation: 0, W_x: [D, 3], W_h: [H, 3], b: isAfter ? 4 : 3 };
    }
    default:
      return { ...sizes, kind: LSTM, activation: 0, W_x: [D, 4], W_h: [H, 4], b: 4 };
  }
}

/** The records of a model by what its layers are: two of a bidirectional layer, forward first. */
const allExpected = (specs: readonly LayerSpec[]) =>
  specs.flatMap((spec) => {
    if (!isRecurrent(spec)) return [expectedOf(spec, false)];
    if (spec.direction === 'bidirectional') return [expectedOf(spec, false), expectedOf(spec, true)];
    return [expectedOf(spec, spec.direction === 'reverse')];
  });

type Record = InstanceType<typeof LayerRecord>;

function recordsOf(ptr: number): Record[] {
  const count = memory.words[(ptr + MODEL_LAYERS) / F32]!;
  return Array.from({ length: count }, (_, k) => new LayerRecord(memory, ptr + MODEL_BYTES + k * LAYER_BYTES));
}

/** Where the weights of a record are. */
function regionsOf(record: Record, { outputs, isNarrow, W_x, W_h, b }: Expected): Region[] {
  const columns = paddedTo(outputs);
  const size = isNarrow ? F64 : F32;
  const regions = [
    { at: record.W_x, bytes: W_x[0] * W_x[1] * columns * size },
    { at: record.W_h, bytes: W_h[0] * W_h[1] * columns * size },
    { at: record.b, bytes: b * columns * size },
    { at: record.finishB, bytes: isNarrow ? b * columns * F32 : 0 },
  ];
  return regions.filter(({ bytes }) => bytes > 0);
}

describe('the records of a packed model', () => {
  test('each layer and direction has a record of its kind, sizes and activation', () => {
    const check = fc.property(stacks, (specs) => {
      const layers = randomLayers(specs, pseudoRandom(1));
      const ptr = packed(layers, (buffer, at) => packModel(layers, buffer, at));
      const records = recordsOf(ptr).map(({ kind, activation, inputs, outputs, narrow, reverse }) => ({
        kind,
        activation,
        inputs,
        outputs,
        isNarrow: narrow === 1,
        isReverse: reverse === 1,
      }));
      const expected = allExpected(specs).map(({ W_x: _x, W_h: _h, b: _b, ...rest }) => rest);
      expect(records).toEqual(expected);
      const described = packedModelAt(ptr, specs).packed;
      expect(described.map(({ isNarrow, isReverse }) => ({ isNarrow, isReverse }))).toEqual(
        expected.map(({ isNarrow, isReverse }) => ({ isNarrow, isReverse })),
      );
    });
    fc.assert(check, { numRuns: runs(200) });
  });

  test('the weights are aligned, one behind the other, and fill the block', () => {
    const check = fc.property(stacks, (specs) => {
      const layers = randomLayers(specs, pseudoRandom(1));
      const ptr = packed(layers, (buffer, at) => packModel(layers, buffer, at));
      const expected = allExpected(specs);
      let end = MODEL_BYTES + expected.length * LAYER_BYTES;
      for (const [k, record] of recordsOf(ptr).entries()) {
        for (const { at, bytes } of regionsOf(record, expected[k]!)) {
          expect(at).toBe(Math.ceil(end / 64) * 64);
          end = at + bytes;
        }
        const { isNarrow, b, W_h } = expected[k]!;
        if (!isNarrow && b > 0 && W_h[0] > 0) expect(record.finishB).toBe(record.b);
      }
      expect(packedModelBytes(specs)).toBe(Math.ceil(end / 64) * 64);
    });
    fc.assert(check, { numRuns: runs(200) });
  });
});

/** The numbers of a region. */
const numbersAt = (ptr: number, isNarrow: boolean, count: number) =>
  isNarrow ? new Float64Array(memory.u8(ptr, 1).buffer, ptr, count) : memory.f32(ptr, count);

/** Element (k, j) of a matrix of K rows and some padded columns, as README.md of the kernels places it. */
function inPanels(panels: Float32Array | Float64Array, K: number, columns: number, k: number, j: number): number {
  const widest = panels instanceof Float64Array ? NR : WIDE;
  const first = Math.floor(j / widest) * widest;
  const width = Math.min(widest, columns - first);
  return panels[first * K + k * width + (j - first)]!;
}

/** Expects `groups` of a row-major matrix, each padded, to be in panels in this order; what is beyond them is 0. */
function expectPanels(ptr: number, isNarrow: boolean, W: Float32Array, K: number, H: number, G: number, groups: readonly number[]): void {
  const padded = paddedTo(H);
  const columns = groups.length * padded;
  const panels = numbersAt(ptr, isNarrow, K * columns);
  const [unpacked, wanted] = [new Float64Array(K * columns), new Float64Array(K * columns)];
  for (let k = 0; k < K; k++) {
    for (let column = 0; column < columns; column++) {
      unpacked[k * columns + column] = inPanels(panels, K, columns, k, column);
    }
    for (const [place, group] of groups.entries()) {
      const from = (k * G + group) * H;
      wanted.set(W.subarray(from, from + H), k * columns + place * padded);
    }
  }
  expect(Buffer.compare(Buffer.from(unpacked.buffer), Buffer.from(wanted.buffer))).toBe(0);
}

/** Expects vectors of H numbers, each padded with zeros, one behind the other. */
function expectVectors(ptr: number, isNarrow: boolean, vectors: readonly Float32Array[]): void {
  const H = vectors[0]!.length;
  const padded = paddedTo(H);
  const numbers = numbersAt(ptr, isNarrow, vectors.length * padded);
  const wanted = vectors.flatMap((vector) => [...vector, ...Array<number>(padded - H).fill(0)]);
  expect([...numbers]).toEqual(wanted);
}

/** The gates in the order in which the kernels have them, of x W_x, h W_h and b; -1 is b_hn. */
const GATE_ORDERS: { readonly [kind: number]: readonly [readonly number[], readonly number[], readonly number[]] } = {
  [RNN]: [[0], [0], [0]],
  [GRU_AFTER]: [[2, 0, 1], [0, 1, 2], [2, 0, 1, -1]],
  [GRU_BEFORE]: [[0, 1, 2], [0, 1, 2], [0, 1, 2]],
  [LSTM]: [[0, 1, 2, 3], [0, 1, 2, 3], [0, 1, 2, 3]],
};

function expectRecurrent(ptr: number, record: Record, { D, H }: RecurrentLayer, weights: RecurrentLayer['weights']): void {
  const { W_x, W_h, b, b_hn } = weights;
  const isNarrow = record.narrow === 1;
  const [xGates, hGates, bGates] = GATE_ORDERS[record.kind]!;
  const G = b.length / H;
  expectPanels(ptr + record.W_x, isNarrow, W_x, D, H, G, xGates);
  expectPanels(ptr + record.W_h, isNarrow, W_h, H, H, G, hGates);
  const vectors = bGates.map((gate) => (gate < 0 ? b_hn! : b.subarray(gate * H, (gate + 1) * H)));
  expectVectors(ptr + record.b, isNarrow, vectors);
  if (isNarrow) expectNegativeZeros(ptr + record.finishB, bGates.length * paddedTo(H));
}

/** What is added to sums that have b already: it changes no number, not even -0. */
function expectNegativeZeros(ptr: number, count: number): void {
  expect(memory.f32(ptr, count).every((number) => Object.is(number, -0))).toBe(true);
}

function expectRowLayer(ptr: number, record: Record, layer: Exclude<Layer, RecurrentLayer>): void {
  if (layer.type === 'embedding') {
    const { V, D, E } = layer;
    expectVectors(ptr + record.W_x, false, Array.from({ length: V }, (_, k) => E.subarray(k * D, (k + 1) * D)));
  } else if (layer.type === 'affine') {
    expectVectors(ptr + record.W_x, false, [layer.scale]);
    expectVectors(ptr + record.b, false, [layer.offset]);
  } else {
    const isNarrow = record.narrow === 1;
    expectPanels(ptr + record.W_x, isNarrow, layer.W, layer.I, layer.O, 1, [0]);
    expectVectors(ptr + record.b, isNarrow, [layer.b]);
    if (isNarrow) expectNegativeZeros(ptr + record.finishB, paddedTo(layer.O));
  }
}

describe('the weights of a packed model', () => {
  test('every weight of every layer is where the kernels read it, and zeros are around it', () => {
    const check = fc.property(stacks, fc.nat(1e6), (specs, seed) => {
      const layers = randomLayers(specs, pseudoRandom(seed));
      const ptr = packed(layers, (buffer, at) => packModel(layers, buffer, at));
      const records = recordsOf(ptr);
      for (const layer of layers) {
        const record = records.shift()!;
        if (!isRecurrent(layer)) {
          expectRowLayer(ptr, record, layer);
          continue;
        }
        expectRecurrent(ptr, record, layer, layer.weights);
        if (layer.direction === 'bidirectional') expectRecurrent(ptr, records.shift()!, layer, layer.backward!);
      }
      expect(records).toEqual([]);
    });
    fc.assert(check, { numRuns: runs(60) });
  });

  test('placeModel() packs into a block of its own, and says where it is', () => {
    const layers = randomLayers([{ type: 'lstm', D: 3, H: 5, direction: 'forward' }], pseudoRandom(1));
    const used = memory.bytesUsed;
    const model = placeModel(memory, layers);
    expect(memory.bytesUsed - used).toBe(packedModelBytes(layers));
    expect(model).toEqual(packedModelAt(model.ptr, layers));
    expect(recordsOf(model.ptr).map(({ kind }) => kind)).toEqual([LSTM]);
    memory.free(model.ptr);
  });
});
