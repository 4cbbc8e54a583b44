// The vectors of fixtures/cells: models with layers in JSON, with what torch computed in float64 from the same float32
// numbers. Those of fixtures/vectors, of one tanh layer, are read in the same form.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Layer, type RecurrentSpec, type RecurrentWeights, recurrentWeights } from '../../src/layers.ts';
import type { ReferenceInput, ReferenceOutput } from '../../src/wasm/reference/model.ts';

/** Lists have one entry for each recurrent layer and direction, forward first. */
export interface Expected {
  /** (T, N, outputs) */
  readonly hs: readonly number[];
  /** (N, H) each */
  readonly h: readonly (readonly number[])[];
  /** (N, H) each; null where there is no c. */
  readonly c?: readonly (readonly number[] | null)[];
  /** (T, N, O) */
  readonly ys?: readonly number[];
}

export interface CellVector {
  readonly name: string;
  readonly layers: readonly Layer[];
  readonly input: ReferenceInput;
  readonly expected: Expected;
  /** The largest error of torch in float32. */
  readonly torchError: number;
}

/** A tensor of any rank, as nested arrays. */
type Nested = number | readonly Nested[];

interface WeightsJson {
  readonly W_x: Nested;
  readonly W_h: Nested;
  readonly b?: Nested;
  readonly b_h?: Nested;
}

/** A file of fixtures/cells. */
interface VectorJson {
  readonly name: string;
  readonly T: number;
  readonly N: number;
  readonly layers: readonly LayerJson[];
  readonly x: Nested;
  readonly h?: readonly Nested[];
  readonly c?: readonly (Nested | null)[];
  readonly lengths?: readonly number[];
  readonly expected: {
    readonly hs: Nested;
    readonly h: readonly Nested[];
    readonly c?: readonly (Nested | null)[];
    readonly ys?: Nested;
  };
  readonly torch_float32_max_abs_error: number;
}

// oxlint-disable-next-line typescript/no-explicit-any
type LayerJson = Record<string, any> & { readonly type: Layer['type'] };

const read = (folder: string) =>
  readdirSync(join(import.meta.dirname, '../fixtures', folder))
    .filter((file) => file.endsWith('.json'))
    .map((file) => JSON.parse(readFileSync(join(import.meta.dirname, '../fixtures', folder, file), 'utf8')));

/** The files of fixtures/cells, in the order of their names. */
export function readCells(): CellVector[] {
  return read('cells').map(vectorOf);
}

/** The files of fixtures/vectors. */
export function readTanhVectors(): CellVector[] {
  return read('vectors').map((file) =>
    vectorOf({
      ...file,
      layers: [{ type: 'rnn', ...file.weights }],
      h: file.h && [file.h],
      expected: { hs: file.expected.hs, h: [file.expected.h] },
    }),
  );
}

function vectorOf({ name, T, N, x, lengths, layers, ...file }: VectorJson): CellVector {
  const [first] = layers;
  const { hs, h, c, ys } = file.expected;
  return {
    name,
    layers: layers.map(layerOf),
    input: {
      T,
      N,
      x: first!.type === 'embedding' ? Uint32Array.from(flat(x)) : floats(x),
      lengths,
      h: file.h?.map(floats),
      c: file.c?.map((entry) => entry === null ? undefined : floats(entry)),
    },
    expected: {
      hs: flat(hs),
      h: h.map(flat),
      ...(c && { c: c.map((entry) => entry === null ? null : flat(entry)) }),
      ...(ys !== undefined && { ys: flat(ys) }),
    },
    torchError: file.torch_float32_max_abs_error,
  };
}

/** A layer in the JSON of models, its sizes from the shapes of its tensors. */
function layerOf(json: LayerJson): Layer {
  const { type, direction = 'forward' } = json;
  switch (type) {
    case 'embedding':
      return { type, V: json.E.length, D: json.E[0].length, E: floats(json.E) };
    case 'affine':
      return { type, D: json.scale.length, scale: floats(json.scale), offset: floats(json.offset) };
    case 'dense': {
      const [I, O] = [json.W.length, json.W[0].length];
      const b = json.b ? floats(json.b) : new Float32Array(O);
      return { type, I, O, activation: json.activation ?? 'linear', W: floats(json.W), b };
    }
    default: {
      const sizes = { D: json.W_x.length, H: json.W_h.length, direction };
      const spec: RecurrentSpec =
        type === 'rnn'
          ? { type, activation: json.activation ?? 'tanh', ...sizes }
          : type === 'gru'
            ? { type, reset: json.reset ?? 'after', ...sizes }
            : { type, ...sizes };
      return {
        ...spec,
        weights: weightsOf(spec, json as unknown as WeightsJson),
        ...(json.backward && { backward: weightsOf(spec, json.backward) }),
      };
    }
  }
}

function weightsOf(spec: RecurrentSpec, { W_x, W_h, b, b_h }: WeightsJson): RecurrentWeights {
  return recurrentWeights(spec, {
    W_x: floats(W_x),
    W_h: floats(W_h),
    b: b === undefined ? undefined : floats(b),
    b_h: b_h === undefined ? undefined : floats(b_h),
  });
}

/** The elements in row-major order. */
function flat(nested: Nested): number[] {
  return typeof nested === 'number' ? [nested] : nested.flatMap(flat);
}

function floats(nested: Nested): Float32Array {
  return Float32Array.from(flat(nested));
}

/** What an implementation computes of a vector. */
export type Computed = Pick<ReferenceOutput, 'h' | 'c' | 'ys'> & { readonly hs: Float32Array | undefined };

/**
 * The largest error of each tensor, as a multiple of torch's in float32.
 *
 * @throws Error if a tensor is missing or has another size
 */
export function errorsOf({ expected, torchError }: CellVector, computed: Computed): Record<string, number> {
  const pairs: [string, Float32Array | undefined, readonly number[] | null | undefined][] = [
    ['hs', computed.hs, expected.hs],
    ...expected.h.map((h, k) => [`h.${k}`, computed.h[k], h] as (typeof pairs)[number]),
    ...(expected.c ?? []).map((c, k) => [`c.${k}`, computed.c[k], c] as (typeof pairs)[number]),
    ['ys', computed.ys, expected.ys],
  ];
  const errors: Record<string, number> = {};
  for (const [tensor, actual, right] of pairs) {
    if (actual?.length !== right?.length) {
      throw new Error(`${tensor} has ${actual?.length} elements, not ${right?.length}`);
    }
    if (!right) continue;
    errors[tensor] = right.reduce((worst, value, i) => Math.max(worst, Math.abs(actual![i]! - value)), 0) / torchError;
  }
  return errors;
}
