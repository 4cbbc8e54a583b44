// Random models of any layers, jobs over them, and the bits that a job has computed.
import {
  type Layer,
  type LayerSpec,
  directionsOf,
  inputsOf,
  isRecurrent,
  outputsOf,
} from '../../src/layers.ts';
import type { TensorView } from '../../src/tensor.ts';
import type { Job, JobShape } from '../../src/wasm/job.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { randomLayers } from '../../src/wasm/random-layers.ts';
import { fc } from './seed.ts';

const ROW_LAYERS = ['affine', 'linear', 'relu', 'tanh', 'sigmoid', 'softmax'] as const;
const CELLS = ['rnn tanh', 'rnn relu', 'gru after', 'gru before', 'lstm'] as const;
const DIRECTIONS = ['forward', 'reverse', 'bidirectional'] as const;

type RowLayerKind = (typeof ROW_LAYERS)[number];
type CellKind = (typeof CELLS)[number];
type DirectionKind = (typeof DIRECTIONS)[number];

interface RowLayerChoice {
  readonly kind: RowLayerKind;
  readonly size: number;
}
interface CellChoice {
  readonly kind: CellKind;
  readonly size: number;
  readonly direction: DirectionKind;
}

/** A layer that has D inputs. */
function specOf(choice: RowLayerChoice | CellChoice, D: number): LayerSpec {
  const { kind, size: H } = choice;
  if (!('direction' in choice)) {
    return kind === 'affine' ? { type: 'affine', D } : { type: 'dense', I: D, O: H, activation: choice.kind as Exclude<RowLayerKind, 'affine'> };
  }
  const sizes = { D, H, direction: choice.direction };
  switch (choice.kind) {
    case 'lstm':
      return { type: 'lstm', ...sizes };
    case 'gru after':
    case 'gru before':
      return { type: 'gru', reset: choice.kind === 'gru after' ? 'after' : 'before', ...sizes };
    default:
      return { type: 'rnn', activation: choice.kind === 'rnn tanh' ? 'tanh' : 'relu', ...sizes };
  }
}

/** Mostly small; around the edges of tiles, and large enough for wide layers, now and then. */
const sizes = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 1, max: 9 }) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 40 }) },
  { weight: 2, arbitrary: fc.integer({ min: 90, max: 108 }) },
);
const rowLayers = fc.record({ kind: fc.constantFrom(...ROW_LAYERS), size: sizes });
const cells = fc.record({
  kind: fc.constantFrom(...CELLS),
  size: sizes,
  // Half of the models have no reversed layer: only they are computed in slices of some steps, with rings.
  direction: fc.constantFrom(...DIRECTIONS),
});

/** Models of any layers: perhaps an embedding, up to five layers, and up to three behind the last recurrent one. */
export const stacks: fc.Arbitrary<LayerSpec[]> = fc
  .record({
    D: sizes,
    V: fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined }),
    middle: fc.array(fc.oneof(rowLayers, cells), { maxLength: 4 }),
    last: cells,
    head: fc.array(rowLayers, { maxLength: 3 }),
    isForward: fc.boolean(),
  })
  .map(({ D, V, middle, last, head, isForward }) => {
    const specs: LayerSpec[] = V === undefined ? [] : [{ type: 'embedding', V, D }];
    let width = D;
    for (const choice of [...middle, last, ...head]) {
      const isTurned = isForward && 'direction' in choice;
      const spec = specOf(isTurned ? { ...choice, direction: 'forward' } : choice, width);
      width = outputsOf(spec);
      specs.push(spec);
    }
    return specs;
  });

export type StackShape = Pick<JobShape, 'T' | 'N' | 'lengths' | 'keepsStates' | 'trace'>;

export interface StackCase {
  readonly specs: readonly LayerSpec[];
  readonly shape: StackShape;
  /** Of weights and inputs. */
  readonly seed: number;
}

/** Jobs of few steps, or of more than rings have slots, of a few rows. */
export const stackCases: fc.Arbitrary<StackCase> = fc
  .oneof(
    { weight: 5, arbitrary: fc.record({ T: fc.integer({ min: 1, max: 6 }), N: fc.integer({ min: 1, max: 12 }) }) },
    { weight: 1, arbitrary: fc.record({ T: fc.integer({ min: 60, max: 72 }), N: fc.integer({ min: 1, max: 2 }) }) },
  )
  .chain(({ T, N }) => {
    const lengths = fc.array(fc.integer({ min: 0, max: T }), { minLength: N, maxLength: N });
    return fc.record({
      specs: stacks,
      shape: fc.record({
        T: fc.constant(T),
        N: fc.constant(N),
        lengths: fc.option(lengths, { nil: undefined }),
        keepsStates: fc.boolean(),
        trace: fc.boolean(),
      }),
      seed: fc.nat(1e6),
    });
  });

/** The layers of a case, with weights so small that the states of relu layers hardly grow. */
export function layersOf({ specs, seed }: StackCase): Layer[] {
  const random = pseudoRandom(seed);
  const widest = Math.max(...specs.map(inputsOf), ...specs.map(outputsOf));
  return randomLayers(specs, () => (random() * 1.2) / Math.sqrt(widest));
}

/** Writes random inputs and states into a job. */
export function fillStackJob(job: Job, { specs, seed }: StackCase): void {
  const random = pseudoRandom(seed + 1);
  const [first] = specs;
  if (first!.type === 'embedding') {
    const { V } = first!;
    const { ids } = job;
    for (let i = 0; i < ids.length; i++) ids[i] = Math.abs(random()) * V;
  } else {
    for (let i = 0; i < job.x.length; i++) job.x[i] = random();
  }
  for (const { h, c } of job.states) {
    for (const state of [h, c ?? []]) for (let i = 0; i < state.length; i++) state[i] = random();
  }
}

/** Each tensor that a job has, by its name: the bits of its elements, those of every NaN being the same. */
export type JobBits = Readonly<Record<string, Buffer>>;

/** Copies the tensors of a job that has run. */
export function bitsOfJob(job: Job): JobBits {
  const views: [string, TensorView | undefined][] = [
    ...job.finalStates().flatMap(({ h, c }, k): [string, TensorView | undefined][] => [
      [`h.${k}`, h],
      [`c.${k}`, c],
    ]),
    ['hs', job.hs],
    ['y', job.y],
    ['ys', job.ys],
    ...Object.entries(job.trace ?? {}),
    ...(job.gates ?? []).flatMap(({ z, values }, k): [string, TensorView][] => [
      ...Object.entries(z).map(([name, view]): [string, TensorView] => [`z.${k}.${name}`, view]),
      ...Object.entries(values).map(([name, view]): [string, TensorView] => [`gate.${k}.${name}`, view]),
    ]),
  ];
  return Object.fromEntries(views.flatMap(([name, view]) => (view ? [[name, bitsOfView(view)]] : [])));
}

/** The elements of a view, without what is behind its rows, row-major. */
export function elementsOf({ shape, strides, data }: TensorView): Float32Array<ArrayBuffer> {
  const size = shape.at(-1)!;
  const rows = shape.slice(0, -1).reduce((product, axis) => product * axis, 1);
  const elements = new Float32Array(rows * size);
  for (let row = 0; row < rows; row++) {
    let [from, left] = [0, row];
    for (let axis = shape.length - 2; axis >= 0; axis--) {
      from += (left % shape[axis]!) * strides[axis]!;
      left = Math.floor(left / shape[axis]!);
    }
    elements.set(data.subarray(from, from + size), row * size);
  }
  return elements;
}

function bitsOfView(view: TensorView): Buffer {
  const elements = elementsOf(view);
  for (let i = 0; i < elements.length; i++) if (Number.isNaN(elements[i])) elements[i] = NaN;
  return Buffer.from(elements.buffer);
}

/** The names of the tensors that are not the same in both. */
export function differences(one: JobBits, other: JobBits): string[] {
  const names = new Set([...Object.keys(one), ...Object.keys(other)]);
  return [...names].filter((name) => !one[name] || !other[name] || !one[name].equals(other[name]));
}

/** How many states a model has: one for each recurrent layer and direction. */
export function statesCount(specs: readonly LayerSpec[]): number {
  return specs.filter(isRecurrent).reduce((sum, spec) => sum + directionsOf(spec).length, 0);
}
