// The arrays of --check by their meaning, with their shapes checked against the model.
import { quote } from '../../codec/safetensors/quote.ts';
import { type Layer, type StateSlot, inputsOf, isRecurrent, modelSizes, outputsOf, statesOf } from '../../layers.ts';
import { areFinite, formatShape } from '../../tensor.ts';
import type { CheckArray, CheckArrays } from './check-array.ts';
import { wrong } from './wrong.ts';

export type Layout = 'TND' | 'NTD';

/** What the model computes with; (T, N) outermost whatever the layout of the file is. */
export interface CheckInput {
  readonly T: number;
  readonly N: number;
  readonly lengths: readonly number[] | undefined;
  readonly x: Float32Array | Uint32Array;
  /** For each recurrent layer and direction. */
  readonly h: readonly (Float32Array | undefined)[];
  readonly c: readonly (Float32Array | undefined)[];
}

/** An output that the framework computed. */
export interface ExpectedOutput {
  /** `hs`, `ys`, `y`, `h.0`, `c.1` … */
  readonly name: string;
  /** In the layout of the file, all axes; of hs and ys without steps if there is the last step alone. */
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
  readonly isHalf: boolean;
}

const NAMES = ['x', 'h0', 'c0', 'lengths', 'hs', 'ys', 'y', 'h', 'c'];
const OF_LAYER = /^([hc]0?)\.(\d{1,3})$/;

/** @throws CliError naming the array, its shape, the shape expected and why */
export function readInputs(
  layers: readonly Layer[],
  arrays: CheckArrays,
  layout: Layout,
): { input: CheckInput; expected: ExpectedOutput[] } {
  const slots = statesOf(layers);
  expectKnown(arrays, slots);
  const { x, T, N } = readX(layers, arrays, layout);
  const reader = new Reader(arrays, slots, { T, N, layout });
  const { O } = modelSizes(layers);
  const outputs = outputsOf(layers.findLast((layer) => isRecurrent(layer))!);
  const expected = [
    ...reader.output('hs', ['T', 'N', 'H'], outputs),
    ...(O === 0 ? reader.none('ys') : reader.output('ys', ['T', 'N', 'O'], O)),
    ...(O === 0 ? reader.none('y') : reader.output('y', ['N', 'O'], O)),
    ...reader.states('h').map((array, k) => array && reader.stateOutput(`h`, k, array)),
    ...reader.states('c').map((array, k) => array && reader.stateOutput(`c`, k, array)),
  ].filter((output) => output !== undefined);
  if (expected.length === 0)
    throw wrong(
      `The file of --check has ${listOf([...arrays.keys()])}, expected also an output to compare with: hs, ys, y, h or c.`,
    );
  const floatsOf = (name: string) => reader.states(name).map((array) => array && floats(name, array));
  return { input: { T, N, x, lengths: reader.lengths(), h: floatsOf('h0'), c: floatsOf('c0') }, expected };
}

function expectKnown(arrays: CheckArrays, slots: readonly StateSlot[]): void {
  for (const name of arrays.keys()) {
    const [, , k] = OF_LAYER.exec(name) ?? [];
    if (NAMES.includes(name) || Number(k) < slots.length) continue;
    const states = slots.length > 1 ? `, or h.0 … h.${slots.length - 1} (also h0., c0., c.)` : '';
    throw wrong(`The file of --check has the array ${quote(name)}, expected only ${NAMES.join(', ')}${states}.`);
  }
}

function readX(layers: readonly Layer[], arrays: CheckArrays, layout: Layout) {
  const array = arrays.get('x');
  if (!array) throw wrong(`The file of --check has ${listOf([...arrays.keys()])}, expected also x, the inputs.`);
  const first = layers[0]!;
  const D = first.type === 'embedding' ? undefined : inputsOf(first);
  const rank = D === undefined ? 2 : 3;
  const axes = [...(layout === 'TND' ? ['T', 'N'] : ['N', 'T']), ...(D === undefined ? [] : ['D'])];
  // Without a mini-batch, as torch has it: one row.
  const shape = array.shape.length === rank - 1 ? array.shape.toSpliced(layout === 'TND' ? 1 : 0, 0, 1) : array.shape;
  if (shape.length !== rank || shape.includes(0) || (D !== undefined && shape[2] !== D)) {
    const sizes =
      D === undefined ? 'whole numbers, as the model begins with an embedding' : `D = ${D}, the inputs of the model`;
    throw wrong(`x has shape ${formatShape(array.shape)}, expected ${formatShape(axes)} with ${sizes}.`);
  }
  const [T, N] = layout === 'TND' ? [shape[0]!, shape[1]!] : [shape[1]!, shape[0]!];
  const ordered = { ...array, data: layout === 'TND' ? array.data : swapped(array.data, N, T) };
  return { T, N, x: D === undefined ? tokens(ordered, (first as { V: number }).V) : floats('x', ordered) };
}

/** Elements of (first, second, …) with the first two axes exchanged. */
function swapped(data: Float32Array | Float64Array, first: number, second: number): Float32Array | Float64Array {
  const result = data.slice();
  const inner = data.length / (first * second);
  for (let i = 0; i < first; i++) {
    for (let j = 0; j < second; j++) {
      const from = (i * second + j) * inner;
      result.set(data.subarray(from, from + inner), (j * first + i) * inner);
    }
  }
  return result;
}

function floats(name: string, { data }: Pick<CheckArray, 'data'>): Float32Array {
  const numbers = Float32Array.from(data);
  if (areFinite(numbers)) return numbers;
  const at = numbers.findIndex((value) => !Number.isFinite(value));
  throw wrong(`${name} has the number ${data[at]} at element ${at}, expected finite float32.`);
}

function tokens({ data }: CheckArray, V: number): Uint32Array {
  const at = data.findIndex((value) => !(Number.isInteger(value) && value >= 0 && value < V));
  if (at < 0) return Uint32Array.from(data);
  throw wrong(`x has the number ${data[at]} at element ${at}, expected a row number of the embedding, 0 … ${V - 1}.`);
}

interface Sizes {
  readonly T: number;
  readonly N: number;
  readonly layout: Layout;
}

/** Reads arrays whose shapes follow from x and the model. */
class Reader {
  readonly #arrays: CheckArrays;
  readonly #slots: readonly StateSlot[];
  readonly #sizes: Sizes;

  constructor(arrays: CheckArrays, slots: readonly StateSlot[], sizes: Sizes) {
    this.#arrays = arrays;
    this.#slots = slots;
    this.#sizes = sizes;
  }

  lengths(): readonly number[] | undefined {
    const array = this.#arrays.get('lengths');
    if (!array) return undefined;
    const { T, N } = this.#sizes;
    this.#expectShape('lengths', array, ['N'], [N]);
    const wrongOne = array.data.find((length) => !(Number.isInteger(length) && length >= 0 && length <= T));
    if (wrongOne === undefined) return [...array.data];
    throw wrong(`lengths has ${wrongOne}, expected whole numbers 0 … T = ${T}.`);
  }

  /** An output of every step, or the last step of it, which some programs return alone; or `y`. */
  output(name: string, axes: readonly string[], size: number): ExpectedOutput[] {
    const array = this.#arrays.get(name);
    if (!array) return [];
    const { T, N, layout } = this.#sizes;
    const isSequence = axes[0] === 'T';
    const [first, second] = layout === 'TND' ? [T, N] : [N, T];
    const isLastAlone = isSequence && T > 1 && array.data.length === N * size;
    if (isLastAlone) {
      this.#expectShape(name, array, ['N', axes[2]!], [N, size]);
      return [{ name, shape: [N, size], data: array.data, isHalf: array.isHalf }];
    }
    const shape = isSequence ? [first, second, size] : [N, size];
    const named = isSequence && layout === 'NTD' ? ['N', 'T', axes[2]!] : axes;
    this.#expectShape(name, array, named, shape);
    return [{ name, shape, data: array.data, isHalf: array.isHalf }];
  }

  /** @throws CliError if there is an array that the model has not */
  none(name: string): [] {
    if (!this.#arrays.has(name)) return [];
    throw wrong(`The file of --check has ${name}, but no layers are behind the last recurrent one: expected hs, h or c.`);
  }

  /** The states of each slot, apart or stacked. */
  states(name: string): (CheckArray | undefined)[] {
    const isC = name.startsWith('c');
    const slots = this.#slots;
    const apart = slots.map((slot, k) => this.#state(`${name}.${k}`, this.#arrays.get(`${name}.${k}`), slot, isC));
    const array = this.#arrays.get(name);
    if (!array) return apart;
    const having = slots.filter(({ hasC }) => hasC || !isC);
    if (having.length === 0)
      throw wrong(`The file of --check has ${name}, but the model has no lstm, and no c: expected h alone.`);
    if (having.length === 1) {
      const at = slots.indexOf(having[0]!);
      return apart.with(at, this.#state(name, array, having[0]!, isC));
    }
    return this.#unstacked(name, array, having).reduce((all, part, i) => all.with(slots.indexOf(having[i]!), part), apart);
  }

  stateOutput(name: string, k: number, { data, isHalf }: CheckArray): ExpectedOutput {
    const one = this.#slots.length === 1;
    return { name: one ? name : `${name}.${k}`, shape: [this.#sizes.N, this.#slots[k]!.H], data, isHalf };
  }

  #state(name: string, array: CheckArray | undefined, { type, H, hasC }: StateSlot, isC: boolean): CheckArray | undefined {
    if (!array) return undefined;
    if (isC && !hasC) throw wrong(`The file of --check has ${name}, but that layer is of type ${type}, which has no c.`);
    this.#expectShape(name, array, ['N', 'H'], [this.#sizes.N, H]);
    return array;
  }

  /** As torch has them: (layers and directions, N, H). */
  #unstacked(name: string, array: CheckArray, slots: readonly StateSlot[]): CheckArray[] {
    const { N } = this.#sizes;
    const { H } = slots[0]!;
    if (slots.some((slot) => slot.H !== H)) {
      throw wrong(
        `${name} is one array, but the layers have different H: expected ${slots.map((_, k) => `${name}.${k}`).join(', ')}.`,
      );
    }
    this.#expectShape(name, array, ['layers and directions', 'N', 'H'], [slots.length, N, H]);
    return slots.map((_, k) => ({ ...array, shape: [N, H], data: array.data.subarray(k * N * H, (k + 1) * N * H) }));
  }

  /** Axes of size 1 may be left out. @throws CliError */
  #expectShape(name: string, { shape }: CheckArray, axes: readonly string[], expected: readonly number[]): void {
    const significant = (sizes: readonly number[]) => sizes.filter((size) => size !== 1);
    const isSame = (a: readonly number[], b: readonly number[]) =>
      formatShape(significant(a)) === formatShape(significant(b));
    if (isSame(shape, expected)) return;
    const { T, N, layout } = this.#sizes;
    const named = `${formatShape(axes)} = ${formatShape(expected)}`;
    const why = `x makes T = ${T} and N = ${N} with --layout ${layout}`;
    const hint = this.#hint(shape, axes, expected, isSame);
    throw wrong(`${name} has shape ${formatShape(shape)}, expected ${named}, because ${why}.${hint}`);
  }

  #hint(
    shape: readonly number[],
    axes: readonly string[],
    expected: readonly number[],
    isSame: (a: readonly number[], b: readonly number[]) => boolean,
  ): string {
    const { T, N, layout } = this.#sizes;
    const other = layout === 'TND' ? 'NTD' : 'TND';
    const first = layout === 'TND' ? 'batch first, as of batch_first=True and of Keras' : 'time first';
    // With the other layout T and N change places in everything that follows from x.
    const exchanged = expected.map((size, axis) => (axes[axis] === 'N' ? T : axes[axis] === 'T' ? N : size));
    const asOther = axes.includes('T') ? expected : exchanged;
    if (T !== N && isSame(shape, asOther)) return ` x seems to be ${first}: add --layout ${other}.`;
    if (axes.includes('T') && isSame(shape, [expected[1]!, expected[0]!, expected[2]!])) {
      return ` Its first two axes are exchanged: x and all outputs of every step have the same order.`;
    }
    if (axes[0] === 'N' && isSame(shape, [T, ...expected]) && T > 1) return ' With every step its name is hs or ys.';
    return '';
  }
}

function listOf(names: readonly string[]): string {
  return names.length === 0 ? 'no arrays' : names.slice(0, 8).map(quote).join(', ');
}
