// Random models with layers: any kinds, sizes, activations and directions in any order, with random inputs and states.
import {
  type Direction,
  directionsOf,
  gatesOf,
  inputsOf,
  isRecurrent,
  type Layer,
  type LayerSpec,
  outputsOf,
  type RecurrentSpec,
  recurrentWeights,
} from '../../src/layers.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import type { ReferenceInput } from '../../src/wasm/reference/model.ts';
import { fc } from './seed.ts';

/** A model and a mini-batch for it. */
export interface Stack {
  readonly layers: readonly Layer[];
  readonly input: ReferenceInput;
}

export interface StackShape {
  /** How many layers. */
  readonly depth: number;
  /** The largest number of inputs, outputs or hidden units. */
  readonly size: number;
  readonly T: number;
  readonly N: number;
  /** Those that recurrent layers may have; absent: all. */
  readonly directions?: readonly Direction[];
}

/** Each cell of these sizes, by its name. */
export function cellsOf(sizes: Pick<RecurrentSpec, 'D' | 'H' | 'direction'>): readonly [string, RecurrentSpec][] {
  return [
    ['rnn tanh', { type: 'rnn', activation: 'tanh', ...sizes }],
    ['rnn relu', { type: 'rnn', activation: 'relu', ...sizes }],
    ['gru, reset after', { type: 'gru', reset: 'after', ...sizes }],
    ['gru, reset before', { type: 'gru', reset: 'before', ...sizes }],
    ['lstm', { type: 'lstm', ...sizes }],
  ];
}

/** Models of few units more often than the sizes alone would give; narrow layers and wide ones. */
export const stacks = (shape: Partial<StackShape> = {}): fc.Arbitrary<Stack> => {
  const random = fc.record({
    depth: fc.integer({ min: 1, max: 5 }),
    size: fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 80 })),
    T: fc.integer({ min: 1, max: 6 }),
    N: fc.integer({ min: 1, max: 4 }),
  });
  return fc.tuple(random, fc.integer()).map(([drawn, seed]) => randomStack({ ...drawn, ...shape }, seed));
};

/**
 * At least one layer is recurrent. Half of all stacks have rows of unequal lengths, half of them states to begin with.
 * Values keep the size of 1, and biases may be absent.
 */
export function randomStack({ depth, size, T, N, directions = DIRECTIONS }: StackShape, seed: number): Stack {
  const random = randomNumbers(seed);
  const { pick } = random;
  const recurrentAt = pick(depth) - 1;
  const layers: Layer[] = [];
  for (let k = 0; k < depth; k++) {
    const kinds = k === recurrentAt ? CELLS : k === 0 ? FIRST : LATER;
    const inputs = k === 0 ? pick(size) : outputsOf(layers[k - 1]!);
    const spec = randomSpec(random.oneOf(kinds), inputs, pick(size), directions, random);
    layers.push(withWeights(spec, random));
  }
  return { layers, input: randomInput(layers, { T, N }, random) };
}

/** Layers of these kinds and sizes with random weights, and an input for them. */
export function stackOf(specs: readonly LayerSpec[], size: Pick<StackShape, 'T' | 'N'>, seed: number): Stack {
  const random = randomNumbers(seed);
  const layers = specs.map((spec) => withWeights(spec, random));
  return { layers, input: randomInput(layers, size, random) };
}

function randomInput(
  layers: readonly Layer[],
  { T, N }: Pick<StackShape, 'T' | 'N'>,
  { pick, floats, rowNumbers }: Random,
): ReferenceInput {
  const [first] = layers as [Layer, ...Layer[]];
  const states = layers.filter((layer) => isRecurrent(layer)).flatMap((layer) => directionsOf(layer).map(() => layer));
  const isGiven = pick(2) === 1;
  return {
    T,
    N,
    x: first.type === 'embedding' ? rowNumbers(T * N, first.V) : floats(T * N * inputsOf(first), 2),
    lengths: pick(2) === 1 ? Array.from({ length: N }, () => pick(T + 1) - 1) : undefined,
    h: isGiven ? states.map(({ H }) => floats(N * H, 1)) : undefined,
    c: isGiven ? states.map(({ type, H }) => (type === 'lstm' ? floats(N * H, 2) : undefined)) : undefined,
  };
}

export const DIRECTIONS = ['forward', 'reverse', 'bidirectional'] as const;
const CELLS = ['rnn', 'gru', 'lstm'] as const;
const LATER = [...CELLS, 'affine', 'dense'] as const;
const FIRST = [...LATER, 'embedding'] as const;
const ACTIVATIONS = ['linear', 'relu', 'tanh', 'sigmoid', 'softmax'] as const;

type Random = ReturnType<typeof randomNumbers>;

function randomNumbers(seed: number) {
  const random = pseudoRandom(seed);
  /** 1 … max */
  const pick = (max: number) => 1 + Math.floor(((random() + 1) / 2) * max);
  return {
    pick,
    oneOf: <T>(values: readonly T[]): T => values[pick(values.length) - 1]!,
    /** In [-scale, scale). */
    floats: (count: number, scale: number) => Float32Array.from({ length: count }, () => random() * scale),
    /** 0 … V - 1 */
    rowNumbers: (count: number, V: number) => Uint32Array.from({ length: count }, () => pick(V) - 1),
  };
}

function randomSpec(
  type: LayerSpec['type'],
  inputs: number,
  outputs: number,
  directions: readonly Direction[],
  { oneOf, pick }: Random,
): LayerSpec {
  const sizes = { D: inputs, H: outputs, direction: oneOf(directions) };
  switch (type) {
    case 'embedding':
      return { type, V: pick(20), D: outputs };
    case 'affine':
      return { type, D: inputs };
    case 'dense':
      return { type, I: inputs, O: outputs, activation: oneOf(ACTIVATIONS) };
    case 'rnn':
      return { type, ...sizes, activation: oneOf(['tanh', 'relu']) };
    case 'gru':
      return { type, ...sizes, reset: oneOf(['after', 'before']) };
    case 'lstm':
      return { type, ...sizes };
  }
}

function withWeights(spec: LayerSpec, random: Random): Layer {
  const { floats } = random;
  switch (spec.type) {
    case 'embedding':
      return { ...spec, E: floats(spec.V * spec.D, 2) };
    case 'affine':
      return { ...spec, scale: floats(spec.D, 1.5), offset: floats(spec.D, 0.5) };
    case 'dense': {
      const { I, O } = spec;
      return { ...spec, W: floats(I * O, 1.5 / Math.sqrt(I)), b: floats(O, 0.5) };
    }
    default: {
      const weights = recurrentWeightsOf(spec, random);
      return spec.direction === 'bidirectional'
        ? { ...spec, weights, backward: recurrentWeightsOf(spec, random) }
        : { ...spec, weights };
    }
  }
}

function recurrentWeightsOf(spec: RecurrentSpec, { pick, floats }: Random) {
  const { D, H } = spec;
  const columns = gatesOf(spec) * H;
  const bias = () => (pick(4) === 1 ? undefined : floats(columns, 0.5));
  return recurrentWeights(spec, {
    W_x: floats(D * columns, 1.5 / Math.sqrt(D)),
    W_h: floats(H * columns, 1.5 / Math.sqrt(H)),
    b: bias(),
    b_h: bias(),
  });
}
