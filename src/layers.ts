// The layers of a model: what each computes, its sizes and its weights. Matrices are row-major, weights on the right;
// the gates of a cell stand side by side, each H columns, in the order of GATES.
//
//   embedding   row number x_t of E
//   affine      x ∘ scale + offset
//   dense       activation(x W + b)
//   rnn         h_t = f(z),  z = x_t W_x + h_{t-1} W_h + b
//   gru         r, z, n: h_t = (1 - z) ∘ n + z ∘ h_{t-1}
//                 reset after:  n = tanh(x_t W_xn + b_n + r ∘ (h_{t-1} W_hn + b_hn))
//                 reset before: n = tanh(x_t W_xn + b_n + (r ∘ h_{t-1}) W_hn)
//   lstm        i, f, g, o: c_t = f ∘ c_{t-1} + i ∘ g,  h_t = o ∘ tanh(c_t)

import type { Readout, TensorSource, Weights } from './tensor.ts';

/** Most layers of a model. */
export const LAYERS_MAX = 32;

export type RnnActivation = 'tanh' | 'relu';
export type DenseActivation = 'linear' | 'relu' | 'tanh' | 'sigmoid' | 'softmax';
export type Reset = 'after' | 'before';
export type Direction = 'forward' | 'reverse' | 'bidirectional';

/** The gates of a cell, in the order of their columns: torch's. */
export const GATES = { rnn: ['h'], gru: ['r', 'z', 'n'], lstm: ['i', 'f', 'g', 'o'] } as const;

export type CellType = keyof typeof GATES;

/** V rows of D floats; only as the first layer. x is integers 0 … V-1, (N) or (T, N). */
export interface EmbeddingSpec {
  readonly type: 'embedding';
  readonly V: number;
  readonly D: number;
}

export interface AffineSpec {
  readonly type: 'affine';
  readonly D: number;
}

/** I inputs, O outputs. */
export interface DenseSpec {
  readonly type: 'dense';
  readonly I: number;
  readonly O: number;
  readonly activation: DenseActivation;
}

interface RecurrentSizes {
  /** Inputs. */
  readonly D: number;
  /** Hidden units of one direction. */
  readonly H: number;
  readonly direction: Direction;
}

export interface RnnSpec extends RecurrentSizes {
  readonly type: 'rnn';
  readonly activation: RnnActivation;
}

export interface GruSpec extends RecurrentSizes {
  readonly type: 'gru';
  readonly reset: Reset;
}

export interface LstmSpec extends RecurrentSizes {
  readonly type: 'lstm';
}

export type RecurrentSpec = RnnSpec | GruSpec | LstmSpec;

/** A layer without its weights: all that shapes, costs and the layout of a job depend on. */
export type LayerSpec = EmbeddingSpec | AffineSpec | DenseSpec | RecurrentSpec;

/** Weights of a recurrent layer in one direction, of G gates. */
export interface RecurrentWeights {
  /** (D, G H) */
  readonly W_x: Float32Array;
  /** (H, G H) */
  readonly W_h: Float32Array;
  /** (G H): the sum of both biases, but of n in a GRU with reset after only that of the input. */
  readonly b: Float32Array;
  /** (H): the bias of h W_hn; only in a GRU with reset after. */
  readonly b_hn?: Float32Array | undefined;
}

interface DirectedWeights {
  /** Of a forward or a reverse layer, and of the forward direction of a bidirectional one. */
  readonly weights: RecurrentWeights;
  /** Of the reverse direction of a bidirectional layer. */
  readonly backward?: RecurrentWeights | undefined;
}

export type EmbeddingLayer = EmbeddingSpec & { readonly E: Float32Array };
export type AffineLayer = AffineSpec & { readonly scale: Float32Array; readonly offset: Float32Array };
export type DenseLayer = DenseSpec & { readonly W: Float32Array; readonly b: Float32Array };
export type RecurrentLayer = RecurrentSpec & DirectedWeights;

export type Layer = EmbeddingLayer | AffineLayer | DenseLayer | RecurrentLayer;

/** The tensors of one direction of a recurrent layer, of G gates. */
export interface RecurrentSource<Tensor = TensorSource> {
  /** (D, G H) */
  readonly W_x: Tensor;
  /** (H, G H) */
  readonly W_h: Tensor;
  /** (G H); zeros if absent. That of a model in the short form may be (1, H). */
  readonly b?: Tensor | undefined;
  readonly b_h?: Tensor | undefined;
}

interface DirectedSource<Tensor> {
  readonly direction: Direction;
  readonly weights: RecurrentSource<Tensor>;
  /** Of a bidirectional layer. */
  readonly backward?: RecurrentSource<Tensor> | undefined;
}

/** A layer as a request or a file has it: options, and tensors that are still there. */
export type LayerSource<Tensor = TensorSource> =
  /** E (V, D) */
  | { readonly type: 'embedding'; readonly E: Tensor }
  /** (D) each */
  | { readonly type: 'affine'; readonly scale: Tensor; readonly offset: Tensor }
  /** W (I, O), b (O) */
  | {
      readonly type: 'dense';
      readonly activation: DenseActivation;
      readonly W: Tensor;
      readonly b?: Tensor | undefined;
    }
  | ({ readonly type: 'rnn'; readonly activation: RnnActivation } & DirectedSource<Tensor>)
  | ({ readonly type: 'gru'; readonly reset: Reset } & DirectedSource<Tensor>)
  | ({ readonly type: 'lstm' } & DirectedSource<Tensor>);

/** The same layer with other tensors in place of its own, for example with copies of them. */
export function mapTensors<From, To>(layer: LayerSource<From>, convert: (tensor: From) => To): LayerSource<To> {
  const ifAny = (tensor: From | undefined) => tensor && convert(tensor);
  const ofDirection = ({ W_x, W_h, b, b_h }: RecurrentSource<From>): RecurrentSource<To> => ({
    W_x: convert(W_x),
    W_h: convert(W_h),
    b: ifAny(b),
    b_h: ifAny(b_h),
  });
  switch (layer.type) {
    case 'embedding':
      return { ...layer, E: convert(layer.E) };
    case 'affine':
      return { ...layer, scale: convert(layer.scale), offset: convert(layer.offset) };
    case 'dense':
      return { ...layer, W: convert(layer.W), b: ifAny(layer.b) };
    default: {
      const { weights, backward } = layer;
      return { ...layer, weights: ofDirection(weights), backward: backward && ofDirection(backward) };
    }
  }
}

export function isRecurrent<L extends LayerSpec>(layer: L): layer is L & RecurrentSpec {
  return layer.type in GATES;
}

/** How many gates a cell has: its products have as many times H columns. */
export function gatesOf({ type }: RecurrentSpec): number {
  return GATES[type].length;
}

/** Inputs of a layer: features of x, 1 for an embedding. */
export function inputsOf(layer: LayerSpec): number {
  if (layer.type === 'embedding') return 1;
  return layer.type === 'dense' ? layer.I : layer.D;
}

/** Outputs of a layer: features of what the next one reads. */
export function outputsOf(layer: LayerSpec): number {
  if (layer.type === 'dense') return layer.O;
  if (!isRecurrent(layer)) return layer.D;
  return layer.H * directionsOf(layer).length;
}

/** A layer as errors name it: `layers[2] (lstm)`. */
export function nameOfLayer(index: number, type: LayerSpec['type']): string {
  return `layers[${index}] (${type})`;
}

/** In the order in which their states and outputs stand. */
export function directionsOf({ direction }: RecurrentSpec): ('forward' | 'reverse')[] {
  return direction === 'bidirectional' ? ['forward', 'reverse'] : [direction];
}

interface GivenWeights {
  readonly W_x: Float32Array;
  readonly W_h: Float32Array;
  readonly b?: ArrayLike<number> | undefined;
  readonly b_h?: ArrayLike<number> | undefined;
}

/**
 * The weights of one direction from tensors as files and requests have them. Two biases that are only ever added are
 * added in float64; an absent one is zeros.
 *
 * @param b (G H) of the input's product · @param b_h (G H) of the state's product
 */
export function recurrentWeights(
  spec: RecurrentSpec,
  { W_x, W_h, b, b_h }: GivenWeights,
): RecurrentWeights {
  const { H } = spec;
  const columns = gatesOf(spec) * H;
  const hasOwn = spec.type === 'gru' && spec.reset === 'after';
  const added = hasOwn ? columns - H : columns;
  // z + -0 is z for every z: a bias alone keeps its bits.
  const sum = Float32Array.from({ length: columns }, (_, j) => (b?.[j] ?? 0) + (j < added ? (b_h?.[j] ?? -0) : -0));
  if (!hasOwn) return { W_x, W_h, b: sum };
  return { W_x, W_h, b: sum, b_hn: Float32Array.from({ length: H }, (_, j) => b_h?.[added + j] ?? 0) };
}

/** The short form of a model: one tanh layer, and a readout y = h W_y + b_y if O is not 0. */
export function tanhSpecs({ D, H, O }: { readonly D: number; readonly H: number; readonly O: number }): LayerSpec[] {
  const rnn = { type: 'rnn', activation: 'tanh', direction: 'forward', D, H } as const;
  return O === 0 ? [rnn] : [rnn, { type: 'dense', activation: 'linear', I: H, O }];
}

/** D, H and O of a model in the short form; undefined if it is any other. */
export function shortFormOf(layers: readonly LayerSpec[]): ModelSizes | undefined {
  const [rnn, dense] = layers;
  if (layers.length > 2 || rnn?.type !== 'rnn') return undefined;
  if (rnn.activation !== 'tanh' || rnn.direction !== 'forward') return undefined;
  const { D, H } = rnn;
  if (!dense) return { D, H, O: 0 };
  return dense.type === 'dense' && dense.activation === 'linear' ? { D, H, O: dense.O } : undefined;
}

/** The layers of weights in the short form. */
export function tanhLayers({ D, H, W_x, W_h, b }: Weights, readout?: Readout): Layer[] {
  const rnn = { type: 'rnn', activation: 'tanh', direction: 'forward', D, H, weights: { W_x, W_h, b } } as const;
  if (!readout) return [rnn];
  return [rnn, { type: 'dense', activation: 'linear', I: H, O: readout.O, W: readout.W_y, b: readout.b_y }];
}

/** One direction of a recurrent layer, which has a state of its own. */
export interface StateSlot {
  /** Index of the layer in the model. */
  readonly layer: number;
  readonly type: CellType;
  readonly direction: 'forward' | 'reverse';
  readonly H: number;
  /** Whether it has c beside h. */
  readonly hasC: boolean;
}

const statesOfModels = new WeakMap<readonly LayerSpec[], readonly StateSlot[]>();

/** The states of a model, in the order in which requests and jobs have them. Every request asks, so they are kept. */
export function statesOf(layers: readonly LayerSpec[]): readonly StateSlot[] {
  let slots = statesOfModels.get(layers);
  if (!slots) statesOfModels.set(layers, (slots = layers.flatMap(slotsOf)));
  return slots;
}

function slotsOf(spec: LayerSpec, layer: number): StateSlot[] {
  if (!isRecurrent(spec)) return [];
  const { type, H } = spec;
  return directionsOf(spec).map((direction) => ({ layer, type, direction, H, hasC: type === 'lstm' }));
}

/** Whether the states after a step depend on no later step. */
export function isForward(layers: readonly LayerSpec[]): boolean {
  return layers.every((layer) => !isRecurrent(layer) || layer.direction === 'forward');
}

export interface ModelSizes {
  /** Inputs: features of x, 1 for an embedding. */
  readonly D: number;
  /** Outputs of the last recurrent layer. */
  readonly H: number;
  /** Outputs of the layers behind it; 0 without any. */
  readonly O: number;
}

/** Inputs of a model, outputs of its last recurrent layer, and outputs of the layers behind it; O is 0 without any. */
export function modelSizes(layers: readonly LayerSpec[]): ModelSizes {
  const last = layers.findLastIndex(isRecurrent);
  const O = last + 1 < layers.length ? outputsOf(layers.at(-1)!) : 0;
  return { D: inputsOf(layers[0]!), H: outputsOf(layers[last]!), O };
}
