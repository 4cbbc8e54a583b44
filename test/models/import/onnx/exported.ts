// The files of fixtures/onnx, which torch has exported, with the inputs that they were tried with and what torch computed
// of them; and the same computed by the layers that are read from them.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { importFound } from '../../../../src/models/import/checkpoint.ts';
import { readOnnx } from '../../../../src/models/import/onnx/read-onnx.ts';
import { type Layer, statesOf } from '../../../../src/layers.ts';
import { referenceModel } from '../../../../src/wasm/reference/model.ts';
import { layersOf } from '../../../helpers/model-layers.ts';

type Nested = number | readonly Nested[];
type Tensors = Readonly<Record<string, Nested>>;

export interface ExportedFile {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly layout: 'TND' | 'NTD';
  readonly inputs: Tensors;
  readonly outputs: Tensors;
}

const folder = join(import.meta.dirname, '../../../fixtures/onnx');

/** Those that are read, or those that are refused. */
export function exportedFiles({ areRefused = false } = {}): ExportedFile[] {
  const expected = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as Record<string, Omit<ExportedFile, 'name' | 'bytes'>>;
  return readdirSync(folder)
    .filter((file) => file.endsWith('.onnx') && file.startsWith('refused') === areRefused)
    .map((file) => {
      const name = file.replace('.onnx', '');
      return { name, bytes: readFileSync(join(folder, file)), ...expected[name]! };
    });
}

export function flat(nested: Nested): number[] {
  return typeof nested === 'number' ? [nested] : nested.flatMap(flat);
}

export function shapeOf(nested: Nested): number[] {
  return typeof nested === 'number' ? [] : [nested.length, ...shapeOf(nested[0]!)];
}

export interface ComputedFile {
  readonly layers: readonly Layer[];
  readonly notes: readonly string[];
  /** By the names of the file, in its order of axes. */
  readonly outputs: Readonly<Record<string, Float32Array>>;
}

/** Reads a file, and computes what it was tried with. Of one step, as its notes say, that step. */
export function compute({ bytes, layout, inputs, outputs }: ExportedFile): ComputedFile {
  const { layers: sources, notes = [] } = importFound(readOnnx(bytes));
  const layers = layersOf(sources);
  const [outer, inner] = shapeOf(inputs.x!) as [number, number];
  const [T, N] = layout === 'TND' ? [outer, inner] : [inner, outer];
  const x = layout === 'TND' ? flat(inputs.x!) : swapped(flat(inputs.x!), N, T);
  const result = referenceModel(layers, {
    T,
    N,
    x: layers[0]!.type === 'embedding' ? Uint32Array.from(x) : Float32Array.from(x),
    h: rowsOf(inputs.h_0),
    c: rowsOf(inputs.c_0),
  });
  const steps = result.ys ?? result.hs;
  const ofOneStep = notes.some((note) => note.includes('it is the last'));
  const ofStates = notes.some((note) => note.includes('is y of the answer'));
  const lastStep = steps.subarray((steps.length / T) * (T - 1));
  const y = ofStates ? result.y! : ofOneStep ? lastStep : layout === 'TND' ? steps : swapped(steps, T, N);
  const all = { y: Float32Array.from(y), h_n: joined(result.h), c_n: joined(result.c) };
  const named = Object.keys(outputs).map((name) => [name, all[name as keyof typeof all]] as const);
  if (statesOf(layers).length !== result.h.length) throw new Error('A state is missing.');
  return { layers, notes, outputs: Object.fromEntries(named) };
}

/** (A, B, …) as (B, A, …). */
function swapped(numbers: ArrayLike<number>, A: number, B: number): number[] {
  const width = numbers.length / A / B;
  return Array.from({ length: numbers.length }, (_, i) => {
    const [row, j] = [Math.floor(i / width), i % width];
    return numbers[((row % A) * B + Math.floor(row / A)) * width + j]!;
  });
}

const rowsOf = (states: Nested | undefined) =>
  (states as readonly Nested[] | undefined)?.map((state) => Float32Array.from(flat(state)));
const joined = (states: readonly (Float32Array | undefined)[]) => Float32Array.from(states.flatMap((state) => [...(state ?? [])]));
