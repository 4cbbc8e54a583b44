// A packed model in linear memory: one block that describes itself, a head, a record for each layer and direction, and
// the weights as the kernels read them (kernels/layout.ts).
import { setImmediate as nextIteration } from 'node:timers/promises';
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
  RELU,
  RNN,
  SIGMOID,
  SOFTMAX,
  TANH,
} from '../kernels/layout.ts';
import {
  type DenseActivation,
  type Layer,
  type LayerSpec,
  type RecurrentSpec,
  type RecurrentWeights,
  directionsOf,
  gatesOf,
  isRecurrent,
} from '../layers.ts';
import { LayerRecord } from './job-records.ts';
import type { LinearMemory } from './memory.ts';
import { type PanelSource, isNarrow, packPanels, padded } from './panels.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;
const F64 = Float64Array.BYTES_PER_ELEMENT;
const ALIGN_BYTES = 64;
/** Numbers that are packed in a few milliseconds. */
const SLICE_NUMBERS = 131_072;

const ACTIVATIONS: Readonly<Record<DenseActivation, number>> = {
  linear: LINEAR,
  relu: RELU,
  tanh: TANH,
  sigmoid: SIGMOID,
  softmax: SOFTMAX,
};

/** Where the gates of a cell stand in W_x, W_h and b when they are packed, by their index in torch's order. */
interface GateOrder {
  readonly W_x: readonly number[];
  readonly W_h: readonly number[];
  /** The gates in linear memory, and b. HIDDEN_N is n of h W_h. */
  readonly b: readonly number[];
}

/** n of h W_h, which a gru with reset after sums apart from n of x W_x; its bias is b_hn. */
const HIDDEN_N = -1;

const ORDERS: Readonly<Record<number, GateOrder>> = {
  [RNN]: { W_x: [0], W_h: [0], b: [0] },
  [GRU_AFTER]: { W_x: [2, 0, 1], W_h: [0, 1, 2], b: [2, 0, 1, HIDDEN_N] },
  [GRU_BEFORE]: { W_x: [0, 1, 2], W_h: [0, 1, 2], b: [0, 1, 2] },
  [LSTM]: { W_x: [0, 1, 2, 3], W_h: [0, 1, 2, 3], b: [0, 1, 2, 3] },
};

/** A layer record of the block: a layer, or one direction of a bidirectional one. Places are offsets in the block. */
export interface PackedLayer {
  readonly spec: LayerSpec;
  /** Index of its layer in the model. */
  readonly layer: number;
  /** Whether a recurrent layer begins at each row's last step. */
  readonly isReverse: boolean;
  /** Whether its weights are packed as float64. */
  readonly isNarrow: boolean;
  /** Of a recurrent layer: floats of its gates in linear memory. */
  readonly gateColumns: number;
  readonly W_xAt: number;
  readonly W_hAt: number;
  readonly bAt: number;
  readonly finishBAt: number;
  readonly end: number;
}

export interface PackedModel {
  /** Address of the block. */
  readonly ptr: number;
  readonly layers: readonly LayerSpec[];
  /** One for each layer record, in their order. */
  readonly packed: readonly PackedLayer[];
}

/** The packed form of a model whose block is at `ptr`. */
export function packedModelAt(ptr: number, layers: readonly LayerSpec[]): PackedModel {
  return { ptr, layers, packed: packedLayersOf(layers) };
}

/** Bytes of the block. */
export function packedModelBytes(layers: readonly LayerSpec[]): number {
  return packedLayersOf(layers).at(-1)!.end;
}

/** Packs a model into the packedModelBytes() bytes at `ptr`. */
export function packModel(layers: readonly Layer[], memory: SharedArrayBuffer, ptr: number): void {
  // Without a limit the generator does not yield.
  packing(layers, memory, ptr, Infinity).next();
}

/** Packs a model into a block of its own, which the caller frees at `ptr`. @throws memory_full */
export function placeModel(memory: LinearMemory, layers: readonly Layer[]): PackedModel {
  const ptr = memory.allocate(packedModelBytes(layers));
  packModel(layers, memory.u32(ptr, 1).buffer, ptr);
  return packedModelAt(ptr, layers);
}

/** packModel() in slices, one in an event-loop iteration. */
export async function packModelInSlices(layers: readonly Layer[], memory: SharedArrayBuffer, ptr: number): Promise<void> {
  for (const _ of packing(layers, memory, ptr, SLICE_NUMBERS)) await nextIteration();
}

function packedLayersOf(layers: readonly LayerSpec[]): PackedLayer[] {
  const count = layers.reduce((sum, spec) => sum + (isRecurrent(spec) ? directionsOf(spec).length : 1), 0);
  const packed: PackedLayer[] = [];
  let at = MODEL_BYTES + count * LAYER_BYTES;
  for (const [layer, spec] of layers.entries()) {
    for (const direction of isRecurrent(spec) ? directionsOf(spec) : ['forward']) {
      const record = { spec, layer, isReverse: direction === 'reverse', ...placesOf(spec, at) };
      packed.push(record);
      at = record.end;
    }
  }
  return packed;
}

function placesOf(spec: LayerSpec, start: number) {
  let end = start;
  const add = (bytes: number) => {
    const at = end;
    end += Math.ceil(bytes / ALIGN_BYTES) * ALIGN_BYTES;
    return at;
  };
  if (isRecurrent(spec)) {
    const { D, H } = spec;
    const order = ORDERS[kindOf(spec)]!;
    const narrow = isNarrow(D + H);
    const [columns, bytes] = [padded(H), narrow ? F64 : F32];
    const gateColumns = order.b.length * columns;
    const W_xAt = add(D * order.W_x.length * columns * bytes);
    const W_hAt = add(H * order.W_h.length * columns * bytes);
    const bAt = add(gateColumns * bytes);
    const finishBAt = narrow ? add(gateColumns * F32) : bAt;
    return { isNarrow: narrow, gateColumns, W_xAt, W_hAt, bAt, finishBAt, end };
  }
  const rest = { isNarrow: false, gateColumns: 0, W_hAt: 0, finishBAt: 0 };
  if (spec.type === 'embedding') return { ...rest, W_xAt: add(spec.V * padded(spec.D) * F32), bAt: 0, end };
  if (spec.type === 'affine') return { ...rest, W_xAt: add(padded(spec.D) * F32), bAt: add(padded(spec.D) * F32), end };
  const { I, O } = spec;
  const narrow = isNarrow(I);
  const bytes = narrow ? F64 : F32;
  const W_xAt = add(I * padded(O) * bytes);
  const bAt = add(padded(O) * bytes);
  return { ...rest, isNarrow: narrow, W_xAt, bAt, finishBAt: narrow ? add(padded(O) * F32) : bAt, end };
}

/** LAYER_KIND of a layer. */
function kindOf(spec: LayerSpec): number {
  if (spec.type === 'gru') return spec.reset === 'after' ? GRU_AFTER : GRU_BEFORE;
  return { embedding: EMBEDDING, affine: AFFINE, dense: DENSE, rnn: RNN, lstm: LSTM }[spec.type];
}

function* packing(layers: readonly Layer[], memory: SharedArrayBuffer, ptr: number, numbersMax: number): Generator<void> {
  const words = new Uint32Array(memory);
  const packed = packedLayersOf(layers);
  words.fill(0, ptr / F32, (ptr + MODEL_BYTES + packed.length * LAYER_BYTES) / F32);
  words[(ptr + MODEL_LAYERS) / F32] = packed.length;
  for (const [k, place] of packed.entries()) {
    const layer = layers[place.layer]!;
    writeRecord({ words }, ptr + MODEL_BYTES + k * LAYER_BYTES, place);
    if (isRecurrentLayer(layer)) {
      const isBackward = place.isReverse && layer.direction === 'bidirectional';
      yield* packRecurrent(layer, isBackward ? layer.backward! : layer.weights, place, memory, ptr, numbersMax);
    } else {
      yield* packRowLayer(layer, place, memory, ptr, numbersMax);
    }
    if (numbersMax !== Infinity) yield;
  }
}

const isRecurrentLayer = (layer: Layer): layer is Extract<Layer, RecurrentSpec> => isRecurrent(layer);

function writeRecord(memory: { readonly words: Uint32Array }, ptr: number, place: PackedLayer): void {
  const { spec } = place;
  const record = new LayerRecord(memory, ptr);
  record.kind = kindOf(spec);
  record.activation = 'activation' in spec ? ACTIVATIONS[spec.activation] : 0;
  [record.inputs, record.outputs] = sizesOf(spec);
  record.narrow = place.isNarrow ? 1 : 0;
  record.reverse = place.isReverse ? 1 : 0;
  record.W_x = place.W_xAt;
  record.W_h = place.W_hAt;
  record.b = place.bAt;
  record.finishB = place.finishBAt;
}

function sizesOf(spec: LayerSpec): [inputs: number, outputs: number] {
  if (isRecurrent(spec)) return [spec.D, spec.H];
  if (spec.type === 'embedding') return [spec.V, spec.D];
  return spec.type === 'dense' ? [spec.I, spec.O] : [spec.D, spec.D];
}

function* packRecurrent(
  spec: RecurrentSpec,
  { W_x, W_h, b, b_hn }: RecurrentWeights,
  { isNarrow: narrow, gateColumns, W_xAt, W_hAt, bAt, finishBAt }: PackedLayer,
  memory: SharedArrayBuffer,
  ptr: number,
  numbersMax: number,
): Generator<void> {
  const { D, H } = spec;
  const groups = gatesOf(spec);
  const order = ORDERS[kindOf(spec)]!;
  const panelsAt = (at: number, count: number) =>
    narrow ? new Float64Array(memory, ptr + at, count) : new Float32Array(memory, ptr + at, count);
  const pack = (W: Float32Array, K: number, at: number, groupOrder: readonly number[]) => {
    const source: PanelSource = { W, K, columns: H, groups, order: groupOrder };
    return packPanels(source, panelsAt(at, K * groupOrder.length * padded(H)), numbersMax);
  };
  yield* pack(W_x, D, W_xAt, order.W_x);
  yield* pack(W_h, H, W_hAt, order.W_h);
  const bias = panelsAt(bAt, gateColumns).fill(0);
  for (const [place, gate] of order.b.entries()) {
    bias.set(gate === HIDDEN_N ? b_hn! : b.subarray(gate * H, (gate + 1) * H), place * padded(H));
  }
  // The sums of narrow layers have b already. z + -0 is z for every z, -0 included, which 0 would make 0.
  if (narrow) new Float32Array(memory, ptr + finishBAt, gateColumns).fill(-0);
}

function* packRowLayer(
  layer: Exclude<Layer, RecurrentSpec>,
  { isNarrow: narrow, W_xAt, bAt, finishBAt }: PackedLayer,
  memory: SharedArrayBuffer,
  ptr: number,
  numbersMax: number,
): Generator<void> {
  const floatsAt = (at: number, count: number) => new Float32Array(memory, ptr + at, count);
  if (layer.type === 'embedding') {
    const { V, D, E } = layer;
    const rowsAtOnce = Math.ceil(numbersMax / D);
    for (let first = 0; first < V; first += rowsAtOnce) {
      const count = Math.min(rowsAtOnce, V - first);
      const rows = floatsAt(W_xAt + first * padded(D) * F32, count * padded(D)).fill(0);
      for (let k = 0; k < count; k++) rows.set(E.subarray((first + k) * D, (first + k + 1) * D), k * padded(D));
      if (numbersMax !== Infinity) yield;
    }
  } else if (layer.type === 'affine') {
    floatsAt(W_xAt, padded(layer.D)).fill(0).set(layer.scale);
    floatsAt(bAt, padded(layer.D)).fill(0).set(layer.offset);
  } else {
    const { I, O, W, b } = layer;
    const source: PanelSource = { W, K: I, columns: O, groups: 1, order: [0] };
    const panelsAt = (at: number, count: number) => (narrow ? new Float64Array(memory, ptr + at, count) : floatsAt(at, count));
    yield* packPanels(source, panelsAt(W_xAt, I * padded(O)), numbersMax);
    panelsAt(bAt, padded(O)).fill(0).set(b);
    if (narrow) floatsAt(finishBAt, padded(O)).fill(-0);
  }
}
