// Random stacks of layers in JSON, and files of the same with the names and in the layout of torch and of Keras. It
// shares no code with src/models/import, and copies element by element.
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import type { TensorToWrite } from './safetensors.ts';

type Matrix = number[][];
type Cell = 'rnn' | 'gru' | 'lstm';

export interface DirectionJson {
  readonly W_x: Matrix;
  readonly W_h: Matrix;
  readonly b?: number[];
  readonly b_h?: number[];
}

/** A layer as POST /v1/models takes it. */
export type LayerJson =
  | { type: 'embedding'; E: Matrix }
  | { type: 'affine'; scale: number[]; offset: number[] }
  | { type: 'dense'; W: Matrix; b?: number[]; activation?: string }
  | ({ type: Cell; activation?: string; reset?: string; direction?: string; backward?: DirectionJson } & DirectionJson);

export interface FrameworkFile {
  readonly tensors: Record<string, TensorToWrite>;
  /** The description of the layers. */
  readonly layers: Record<string, unknown>[];
}

const GATES = { rnn: 1, gru: 3, lstm: 4 } as const;
const isRecurrent = (layer: LayerJson): layer is Extract<LayerJson, { W_x: Matrix }> => 'W_x' in layer;

export type Random = ReturnType<typeof randomOf>;

export function randomOf(seed: number) {
  const random = pseudoRandom(seed);
  const pick = (max: number) => Math.floor(((random() + 1) / 2) * max);
  const chance = () => pick(2) === 0;
  const numbers = (count: number) => Array.from({ length: count }, () => Math.fround(random()));
  return {
    pick,
    chance,
    oneOf: <T>(values: readonly T[]): T => values[pick(values.length)]!,
    numbers,
    matrix: (rows: number, columns: number): Matrix => Array.from({ length: rows }, () => numbers(columns)),
  };
}

export interface StackOptions {
  /** Which biases a cell may have, as the framework has them. */
  readonly biasesOf: (cell: Cell, random: Random) => { b: boolean; b_h: boolean; reset: 'after' | 'before' };
  /** Whether the layers are those that names alone tell: an embedding, one module of one kind, a linear head. */
  readonly isPlain?: boolean;
}

/** Layers in JSON. Several recurrent ones in a row may be those of one module: of one kind, H and direction. */
export function randomLayers(random: Random, { biasesOf, isPlain = false }: StackOptions): LayerJson[] {
  const { pick, chance, oneOf, numbers, matrix } = random;
  const size = () => 1 + pick(5);
  const layers: LayerJson[] = [];
  let inputs = size();
  const first = oneOf(['embedding', 'embedding', 'affine', 'none']);
  if (first === 'embedding') layers.push({ type: 'embedding', E: matrix(1 + pick(9), inputs) });
  if (first === 'affine' && !isPlain) layers.push({ type: 'affine', scale: numbers(inputs), offset: numbers(inputs) });
  for (let modules = isPlain ? 1 : 1 + pick(3); modules > 0; modules--) {
    const cell = oneOf(['rnn', 'gru', 'lstm'] as const);
    const [H, isBidirectional, options] = [size(), chance(), biasesOf(cell, random)];
    const activation = isPlain ? 'tanh' : oneOf(['tanh', 'relu']);
    for (let count = 1 + pick(2); count > 0; count--) {
      const columns = GATES[cell] * H;
      const direction = (): DirectionJson => ({
        W_x: matrix(inputs, columns),
        W_h: matrix(H, columns),
        ...(options.b && { b: numbers(columns) }),
        ...(options.b_h && { b_h: numbers(columns) }),
      });
      layers.push({
        type: cell,
        ...(cell === 'rnn' && { activation }),
        ...(cell === 'gru' && { reset: options.reset }),
        ...direction(),
        ...(isBidirectional && { direction: 'bidirectional', backward: direction() }),
      });
      inputs = isBidirectional ? 2 * H : H;
    }
  }
  for (let count = isPlain ? pick(2) : pick(3); count > 0; count--) {
    const O = size();
    const activation = isPlain ? 'linear' : oneOf(['linear', 'relu', 'tanh', 'sigmoid', 'softmax']);
    layers.push({ type: 'dense', W: matrix(inputs, O), ...(chance() && { b: numbers(O) }), activation });
    inputs = O;
  }
  return layers;
}

/** Biases as torch has them: both or none. */
export const torchBiases: StackOptions['biasesOf'] = (_, { chance }) => {
  const hasBias = chance();
  return { b: hasBias, b_h: hasBias, reset: 'after' };
};

/** Biases as Keras has them: one, of a GRU with reset after two, or none. */
export const kerasBiases: StackOptions['biasesOf'] = (cell, { pick, chance }) => {
  if (pick(4) === 0) return { b: false, b_h: false, reset: chance() ? 'after' : 'before' };
  const isAfter = cell === 'gru' && chance();
  return { b: true, b_h: isAfter, reset: isAfter ? 'after' : 'before' };
};

/** Some tensors are float64, and all are in random order. */
function fileOf(random: Random, entries: readonly [string, number[] | Matrix][]): Record<string, TensorToWrite> {
  const keys = new Map(entries.map((entry) => [entry, random.pick(1_000_000)]));
  const shuffled = entries.toSorted((a, b) => keys.get(a)! - keys.get(b)!);
  return Object.fromEntries(
    shuffled.map(([name, values]) => {
      const numbers = values.flat();
      const shape = Array.isArray(values[0]) ? [values.length, values[0].length] : [values.length];
      return [name, { shape, data: random.pick(3) === 0 ? Float64Array.from(numbers) : Float32Array.from(numbers) }];
    }),
  );
}

const transposed = (matrix: Matrix): Matrix => matrix[0]!.map((_, j) => matrix.map((row) => row[j]!));

/**
 * With the names of a state dict, in one of the ways in which torch and its wrappers write them.
 *
 * @param mayBeSequential whether names may be numbers, as those of a torch.nn.Sequential
 */
export function torchFile(layers: readonly LayerJson[], random: Random, mayBeSequential = true): FrameworkFile {
  const { oneOf, chance } = random;
  const wrapper = oneOf(['', '', 'module.', '_orig_mod.', 'model.', 'module._orig_mod.', 'model.module.']);
  const entries: [string, number[] | Matrix][] = [];
  const described: Record<string, unknown>[] = [];
  const add = (name: string, values: number[] | Matrix) => entries.push([`${wrapper}${name}`, values]);
  const isSequential = mayBeSequential && chance();
  const names = { embedding: 'embedding', affine: 'scaler', dense: 'head', rnn: 'encoder.rnn', gru: 'gru', lstm: 'lstm' };
  for (let k = 0; k < layers.length; ) {
    const layer = layers[k]!;
    // A plain stack has one head, which is found by its name.
    const number = layers.slice(0, k).some(({ type }) => type === layer.type) ? `${k}` : '';
    const name = isSequential ? `${k}` : `${names[layer.type]}${number}`;
    if (!isRecurrent(layer)) {
      described.push({ type: layer.type, name, ...('activation' in layer && chance() && { activation: layer.activation }) });
      if (layer.type === 'dense' && layer.activation !== 'linear') described.at(-1)!['activation'] = layer.activation;
      if (layer.type === 'embedding') add(`${name}.weight`, layer.E);
      if (layer.type === 'affine') {
        add(`${name}.scale`, layer.scale);
        add(`${name}.offset`, layer.offset);
      }
      if (layer.type === 'dense') {
        add(`${name}.weight`, transposed(layer.W));
        if (layer.b) add(`${name}.bias`, layer.b);
      }
      k++;
      continue;
    }
    const count = sameModule(layers, k);
    const isCell = count === 1 && layer.direction === undefined && chance();
    for (let l = 0; l < count; l++) {
      const { backward, ...forward } = layers[k + l] as typeof layer;
      addTorchDirection(add, name, isCell ? '' : `_l${l}`, forward);
      if (backward) addTorchDirection(add, name, `_l${l}_reverse`, backward);
    }
    const { type, activation, reset, direction } = layer;
    described.push({
      type,
      name: chance() ? `${wrapper}${name}` : name,
      ...(activation && { activation }),
      ...(chance() && reset && { reset }),
      ...(chance() && direction && { direction }),
    });
    k += count;
  }
  return { tensors: fileOf(random, entries), layers: described };
}

function addTorchDirection(
  add: (name: string, values: number[] | Matrix) => void,
  name: string,
  suffix: string,
  { W_x, W_h, b, b_h }: DirectionJson,
): void {
  add(`${name}.weight_ih${suffix}`, transposed(W_x));
  add(`${name}.weight_hh${suffix}`, transposed(W_h));
  if (b) add(`${name}.bias_ih${suffix}`, b);
  if (b_h) add(`${name}.bias_hh${suffix}`, b_h);
}

/** How many layers from the one at `k` are those of one module of torch. */
function sameModule(layers: readonly LayerJson[], k: number): number {
  const keyOf = (layer: LayerJson | undefined) => {
    if (!layer || !isRecurrent(layer)) return undefined;
    const { type, activation, direction, W_h, b } = layer;
    return JSON.stringify([type, activation, direction, W_h.length, b !== undefined]);
  };
  const key = keyOf(layers[k]);
  let count = 1;
  while (keyOf(layers[k + count]) === key) count++;
  return count;
}

/** With the names of Keras 2 or 3, or of a weights file of Keras 3. */
export function kerasFile(layers: readonly LayerJson[], random: Random): FrameworkFile {
  const { oneOf, chance } = random;
  const style = oneOf(['keras 2', 'keras 3', 'numbers', 'dots'] as const);
  const entries: [string, number[] | Matrix][] = [];
  const described = layers.map((layer, k): Record<string, unknown> => {
    const number = k === 0 ? '' : `_${k}`;
    const base = { rnn: 'simple_rnn', dense: 'dense', embedding: 'embedding', affine: 'scaler', gru: 'gru', lstm: 'lstm' }[layer.type];
    const isBidirectional = isRecurrent(layer) && layer.backward !== undefined;
    const layerName = isBidirectional ? `bidirectional${number}` : `${base}${number}`;
    const path = style === 'numbers' ? `layers/${layerName}` : layerName;
    const add = (names: readonly string[], values: number[] | Matrix, variable = 0) => {
      const inCell = names.slice(0, -1);
      const leaf = style === 'numbers' ? `vars/${variable}` : names.at(-1)!;
      const name = [path, ...inCell, leaf].join('/');
      entries.push([style === 'dots' ? name.replaceAll('/', '.') : style === 'keras 2' ? `${name}:0` : name, values]);
    };
    const entry = { type: layer.type, name: style === 'dots' ? path.replaceAll('/', '.') : path };
    if (layer.type === 'embedding') add(['embeddings'], layer.E);
    else if (layer.type === 'affine') {
      // Keras has no such layer: these are our names.
      entries.push([`${path}.scale`, layer.scale], [`${path}.offset`, layer.offset]);
    } else if (layer.type === 'dense') {
      add(['kernel'], layer.W, 0);
      if (layer.b) add(['bias'], layer.b, 1);
      return { ...entry, activation: layer.activation };
    } else if (isRecurrent(layer)) {
      const cell = style === 'numbers' ? 'cell' : `${base}_cell`;
      const { type, backward, activation, reset, direction } = layer;
      const of = (direction: string) => (style === 'numbers' ? `${direction}_layer` : `${direction}_${base}`);
      addKerasDirection(add, backward ? [of('forward'), cell] : [cell], type, layer);
      if (backward) addKerasDirection(add, [of('backward'), cell], type, backward);
      const isTold = type === 'gru' && layer.b !== undefined;
      return {
        ...entry,
        ...(activation && { activation }),
        ...(reset && (!isTold || chance()) && { reset }),
        ...(direction && chance() && { direction }),
      };
    }
    return entry;
  });
  return { tensors: fileOf(random, entries), layers: described };
}

function addKerasDirection(
  add: (names: readonly string[], values: number[] | Matrix, variable: number) => void,
  path: readonly string[],
  type: Cell,
  { W_x, W_h, b, b_h }: DirectionJson,
): void {
  const H = W_h.length;
  /** r, z, n → z, r, n */
  const columns = (row: number[]) => (type === 'gru' ? row.map((_, j) => row[j < H ? j + H : j < 2 * H ? j - H : j]!) : row);
  add([...path, 'kernel'], W_x.map(columns), 0);
  add([...path, 'recurrent_kernel'], W_h.map(columns), 1);
  if (b) add([...path, 'bias'], b_h ? [columns(b), columns(b_h)] : columns(b), 2);
}
