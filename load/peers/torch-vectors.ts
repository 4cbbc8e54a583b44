// Checks the encoding of layers as ONNX models: onnxruntime-node must compute the outputs and final states of torch.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { GATES, type RecurrentLayer, type RecurrentSpec, recurrentWeights } from '../../src/layers.ts';
import type { CellCase } from '../cases/cell-case.ts';
import { expectNear } from '../cases/same-bits.ts';
import type { OnnxRuntimePeer } from './onnxruntime.ts';

/** Largest error of float32 in the vectors is 1.3e-6; gates in a wrong order are wrong by 0.1 and more. */
const DIFFERENCE_MAX = 1e-5;

type Nested = readonly (number | Nested)[];

/** A recurrent layer in the files; what it leaves out has its default. */
interface VectorLayer {
  readonly type: string;
  readonly activation?: 'tanh' | 'relu';
  readonly reset?: 'after' | 'before';
  readonly direction?: string;
  readonly W_x: Nested;
  readonly W_h: Nested;
  readonly b?: Nested;
  readonly b_h?: Nested;
}

interface VectorFile {
  readonly name: string;
  readonly T: number;
  readonly N: number;
  readonly layers: readonly VectorLayer[];
  readonly x: Nested;
  /** (1, N, H), as `c` and the states of `expected`. */
  readonly h?: Nested;
  readonly c?: Nested;
  readonly lengths?: readonly number[];
  readonly expected: { readonly hs: Nested; readonly h: Nested; readonly c?: Nested };
}

/**
 * Computes those of the folder's vectors that are one forward layer of whole rows.
 *
 * @returns their names
 * @throws Error naming the first element that differs from torch's, or if a cell is in no file
 */
export async function expectVectors(onnxRuntime: OnnxRuntimePeer, folder: string): Promise<string[]> {
  const files = readdirSync(folder).filter((file) => file.endsWith('.json'));
  const vectors = files.map((file): VectorFile => JSON.parse(readFileSync(join(folder, file), 'utf8')));
  const usable = vectors.filter(isUsable);
  for (const vector of usable) await expectVector(onnxRuntime, vector);
  for (const cell of Object.keys(GATES)) {
    const hasVector = usable.some(({ layers }) => layers[0]!.type === cell);
    if (!hasVector) throw new Error(`${folder} has no vector of one forward ${cell} layer.`);
  }
  return usable.map(({ name }) => name);
}

function isUsable({ layers, lengths }: VectorFile): boolean {
  const [layer] = layers;
  return layers.length === 1 && (layer!.direction ?? 'forward') === 'forward' && lengths === undefined;
}

async function expectVector(onnxRuntime: OnnxRuntimePeer, vector: VectorFile): Promise<void> {
  const { name, expected } = vector;
  const peer = await onnxRuntime.prepare(caseOf(vector));
  await peer.repeat(1);
  const expectState = (what: string, values: Float32Array, state: Nested) =>
    expectNear(`onnxruntime's ${what} of ${name}`, values, flatten(state), DIFFERENCE_MAX);
  expectState('hs', peer.hs, expected.hs);
  expectState('h', peer.h, expected.h);
  if (expected.c) expectState('c', peer.c!, expected.c);
  await peer.release();
}

function caseOf({ T, N, layers, x, h, c }: VectorFile): CellCase {
  const layer = layerOf(layers[0]!);
  const stateOf = (state: Nested | undefined) => (state ? flatten(state) : new Float32Array(N * layer.H));
  const states = { h: stateOf(h), ...(layer.type === 'lstm' && { c: stateOf(c) }) };
  return { T, N, layer, x: flatten(x), ...states };
}

function layerOf(vector: VectorLayer): RecurrentLayer {
  const spec = specOf(vector);
  const optional = (tensor: Nested | undefined) => tensor && flatten(tensor);
  const weights = recurrentWeights(spec, {
    W_x: flatten(vector.W_x),
    W_h: flatten(vector.W_h),
    b: optional(vector.b),
    b_h: optional(vector.b_h),
  });
  return { ...spec, weights };
}

function specOf({ type, activation = 'tanh', reset = 'after', W_x, W_h }: VectorLayer): RecurrentSpec {
  const sizes = { D: W_x.length, H: W_h.length, direction: 'forward' } as const;
  if (type === 'rnn') return { type, activation, ...sizes };
  if (type === 'gru') return { type, reset, ...sizes };
  if (type === 'lstm') return { type, ...sizes };
  throw new Error(`${type} is no recurrent layer.`);
}

function flatten(tensor: Nested): Float32Array {
  return Float32Array.from(tensor.flat(Infinity) as number[]);
}
