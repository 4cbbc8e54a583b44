// A graph of ONNX that is written node by node, and layers in JSON as such graphs. Between the layers stand the nodes
// that exporters write: they move the axis of directions, and merge it with the features.
import type { DirectionJson, LayerJson } from './framework-files.ts';
import {
  type GraphToWrite,
  type NodeToWrite,
  type Storage,
  type ValueToWrite,
  INT64,
  floats,
  integers,
  writeOnnx,
} from './onnx-files.ts';

type Numbers = readonly number[];
export type RecurrentJson = Extract<LayerJson, { W_x: unknown }>;

/** Our gates in the order of ONNX, which calls n of a GRU h and g of an LSTM c. */
const GATES = { rnn: [0], gru: [1, 0, 2], lstm: [0, 3, 1, 2] } as const;

export interface GraphOptions {
  /** As the attribute of RNN, GRU and LSTM: 1 if rows are outside of steps. */
  readonly layout?: 0 | 1;
  readonly opset?: number;
  /** Of each next tensor; raw if absent. */
  readonly storage?: () => Storage;
}

export interface RecurrentOptions {
  /** Behind B: sequence_lens, initial_h, initial_c, P. */
  readonly inputs?: readonly string[];
  readonly attributes?: NodeToWrite['attributes'];
}

export class OnnxGraph {
  readonly #nodes: NodeToWrite[] = [];
  readonly #initializers: Uint8Array[] = [];
  readonly #inputs: ValueToWrite[] = [];
  readonly #options: GraphOptions;
  #names = 0;

  constructor(options: GraphOptions = {}) {
    this.#options = options;
  }

  /** x of (T, N, D), or of (T, N) integers, in the order of the layout. */
  x(D?: number, name = 'x'): string {
    const axes = this.#options.layout === 1 ? ['N', 'T'] : ['T', 'N'];
    return this.input(D === undefined ? { name, shape: axes, type: INT64 } : { name, shape: [...axes, D] });
  }

  input(value: ValueToWrite): string {
    this.#inputs.push(value);
    return value.name;
  }

  floats(shape: Numbers, values: Numbers, name = this.#name('tensor')): string {
    return this.initializer(floats(name, shape, values, this.#options.storage?.()), name);
  }

  integers(values: Numbers, shape: Numbers = [values.length]): string {
    const name = this.#name('integers');
    return this.initializer(integers(name, shape, values), name);
  }

  initializer(tensor: Uint8Array, name: string): string {
    this.#initializers.push(tensor);
    return name;
  }

  /** @returns its first output */
  node(op: string, inputs: readonly string[], attributes: NodeToWrite['attributes'] = {}, domain = ''): string {
    return this.nodeOf(1, op, inputs, attributes, domain)[0]!;
  }

  /** @returns its outputs */
  nodeOf(count: number, op: string, inputs: readonly string[], attributes: NodeToWrite['attributes'] = {}, domain = ''): string[] {
    const outputs = Array.from({ length: count }, () => this.#name('value'));
    this.#nodes.push({ op, inputs, outputs, name: this.#name(op), attributes, domain });
    return outputs;
  }

  /** @returns Y, Y_h and of an LSTM Y_c */
  recurrent(layer: RecurrentJson, x: string, { inputs = [], attributes = {} }: RecurrentOptions = {}): string[] {
    const { type, direction = 'forward', backward } = layer;
    const directions = backward ? [layer, backward] : [layer];
    const [D, H] = [layer.W_x.length, layer.W_h.length];
    const rows = GATES[type].length * H;
    const tensor = (shape: Numbers, part: (one: DirectionJson) => Numbers) =>
      this.floats([directions.length, ...shape], directions.flatMap(part));
    const W = tensor([rows, D], ({ W_x }) => gateRows(W_x, type, H));
    const R = tensor([rows, H], ({ W_h }) => gateRows(W_h, type, H));
    const zeros = Array<number>(rows).fill(0);
    const hasBias = directions.some(({ b, b_h }) => b ?? b_h);
    const biases = ({ b = zeros, b_h = zeros }: DirectionJson) => [...gateRows([b], type, H), ...gateRows([b_h], type, H)];
    const B = hasBias ? tensor([2 * rows], biases) : '';
    const activation = layer.activation === 'relu' ? 'Relu' : 'Tanh';
    return this.nodeOf(type === 'lstm' ? 3 : 2, type.toUpperCase(), [x, W, R, B, ...inputs], {
      hidden_size: { i: H },
      ...(direction !== 'forward' && { direction: { s: direction } }),
      ...(this.#options.layout === 1 && { layout: { i: 1 } }),
      ...(type === 'rnn' && { activations: { strings: directions.map(() => activation) } }),
      ...(type === 'gru' && { linear_before_reset: { i: layer.reset === 'before' ? 0 : 1 } }),
      ...attributes,
    });
  }

  /** Y of (T, directions, N, H) as (T, N, directions · H), or with the rows outside. */
  steps(Y: string): string {
    const moved = this.#options.layout === 1 ? Y : this.node('Transpose', [Y], { perm: { ints: [0, 2, 1, 3] } });
    return this.node('Reshape', [moved, this.integers([0, 0, -1])]);
  }

  dense({ W, b, activation = 'linear' }: Extract<LayerJson, { type: 'dense' }>, value: string): string {
    const product = this.node('MatMul', [value, this.floats([W.length, W[0]!.length], W.flat())]);
    const sum = b ? this.node('Add', [product, this.floats([b.length], b)]) : product;
    const [first, ...rest] = activation;
    return activation === 'linear' ? sum : this.node(`${first!.toUpperCase()}${rest.join('')}`, [sum]);
  }

  affine({ scale, offset }: Extract<LayerJson, { type: 'affine' }>, value: string): string {
    const product = this.node('Mul', [value, this.floats([scale.length], scale)]);
    return this.node('Add', [this.floats([1, offset.length], offset), product]);
  }

  embedding({ E }: Extract<LayerJson, { type: 'embedding' }>, x: string): string {
    return this.node('Gather', [this.floats([E.length, E[0]!.length], E.flat()), x]);
  }

  layer(layer: LayerJson, value: string): string {
    switch (layer.type) {
      case 'embedding':
        return this.embedding(layer, value);
      case 'affine':
        return this.affine(layer, value);
      case 'dense':
        return this.dense(layer, value);
      default:
        return this.steps(this.recurrent(layer, value)[0]!);
    }
  }

  write(outputs: readonly string[], more: Partial<GraphToWrite> = {}): Uint8Array {
    return writeOnnx({
      nodes: this.#nodes,
      initializers: this.#initializers,
      inputs: this.#inputs,
      outputs: outputs.map((name) => ({ name })),
      ...(this.#options.opset !== undefined && { opset: this.#options.opset }),
      ...more,
    });
  }

  #name(kind: string): string {
    return `${kind} ${++this.#names}`;
  }
}

/** The layers one behind the other. */
export function onnxFile(layers: readonly LayerJson[], options: GraphOptions = {}): Uint8Array {
  const graph = new OnnxGraph(options);
  const [first] = layers;
  const value = layers.reduce((value, layer) => graph.layer(layer, value), graph.x(inputsOf(first!)));
  return graph.write([value]);
}

/** The columns of a matrix as rows, their gates in the order of ONNX. */
function gateRows(matrix: readonly Numbers[], type: keyof typeof GATES, H: number): Numbers {
  return GATES[type].flatMap((gate) =>
    Array.from({ length: H }, (_, j) => matrix.map((row) => row[gate * H + j]!)).flat(),
  );
}

/** Features of x; undefined if it is row numbers. */
export function inputsOf(layer: LayerJson): number | undefined {
  if (layer.type === 'affine') return layer.scale.length;
  if (layer.type === 'dense') return layer.W.length;
  return layer.type === 'embedding' ? undefined : layer.W_x.length;
}
