// What a job costs, computed before anything is allocated for it: its arithmetic, and the bytes of weights that it
// reads. Jobs of few rows do little arithmetic with each weight: where the weights fit no cache, reading them
// takes longer than computing with them.
import { ROWS_AT_ONCE } from '../kernels/layout.ts';
import { type LayerSpec, type RecurrentSpec, directionsOf, gatesOf, isRecurrent } from '../layers.ts';
import { ByShape } from './by-shape.ts';
import type { JobShape } from './job-shape.ts';
import { isNarrow, padded } from './panels.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;
/** The gates of a time block should still be in the second-level cache when its steps are computed. */
const TIME_BLOCK_BYTES = 128 * 1024;
/** But W_x is read once for each block: where it is in no cache, longer blocks take less time, up to this share of it. */
const TIME_BLOCK_SHARE = 1 / 8;
const TIME_BLOCK_STEPS_MAX = 63;
/** Up to this many rows have tiles of their own, which do fewer operations for each weight they load. */
const FEW_ROWS_MAX = 3;
/** What a function takes, in operations of a product: 1.3 billion tanh a second beside 80 billion operations. */
const FLOPS_PER_FUNCTION = 60;
/** Functions of a hidden unit and step. */
const FUNCTIONS = { rnn: 1, gru: 3, lstm: 5 } as const;

/** Jobs of one kind do about as many operations in a millisecond. */
export type JobKind = 'narrow' | 'few rows' | 'rows';

export interface JobCost {
  readonly kind: JobKind;
  /** float32 operations; one of float64 counts as two, as it takes as long. */
  readonly flops: number;
  /** Bytes of the packed weights. */
  readonly weightsBytes: number;
  /** Bytes of weights that are read, each as often as it is read. */
  readonly readBytes: number;
}

type CostShape = Pick<JobShape, 'T' | 'N' | 'lengths' | 'keepsStates' | 'trace'>;

const costs = new WeakMap<readonly LayerSpec[], ByShape<JobCost>>();

/** What a job costs. Of a model it is kept for the latest shapes, as its layers are the same array for all its jobs. */
export function costOf(layers: readonly LayerSpec[], shape: CostShape): JobCost {
  if (shape.lengths) return newCost(layers, shape);
  let known = costs.get(layers);
  if (!known) costs.set(layers, (known = new ByShape()));
  return known.find(shape) ?? known.add(shape, newCost(layers, shape));
}

function newCost(layers: readonly LayerSpec[], { T, N, lengths, keepsStates, trace }: CostShape): JobCost {
  const rowSteps = lengths ? sumOf(lengths) : T * N;
  const steps = lengths ? Math.max(0, ...lengths) : T;
  const lastRecurrent = layers.findLastIndex(isRecurrent);
  const timeBlock = timeBlockOf(layers, T, N);
  // A trace of one layer computes both products of each row once more, each by itself.
  const products = trace ? 2 : 1;
  let [flops, weightsBytes, readBytes, narrowFlops] = [0, 0, 0, 0];
  for (const [k, layer] of layers.entries()) {
    if (isRecurrent(layer)) {
      const { D, H } = layer;
      const narrow = isNarrow(D + H);
      const directions = directionsOf(layer).length;
      const gates = gatesOf(layer);
      const size = narrow ? 2 : 1;
      const layerFlops = directions * rowSteps * H * (2 * (D + H) * gates * size * products + functionFlops(layer));
      const columnsBytes = directions * gates * padded(H) * F32 * size;
      flops += layerFlops;
      if (narrow) narrowFlops += layerFlops;
      weightsBytes += (D + H) * columnsBytes;
      readBytes += steps * (H + D / timeBlock) * columnsBytes + (trace ? rowSteps * (D + H) * columnsBytes : 0);
    } else {
      // The head is computed for the final states, and for all states that are kept.
      const rows = k < lastRecurrent || keepsStates ? rowSteps : N;
      if (layer.type !== 'dense') {
        flops += rows * layer.D;
        continue;
      }
      const { I, O } = layer;
      const size = isNarrow(I) ? 2 : 1;
      const bytes = I * padded(O) * F32 * size;
      flops += rows * 2 * I * O * size;
      weightsBytes += bytes;
      readBytes += Math.ceil(rows / ROWS_AT_ONCE) * bytes;
    }
  }
  const kind = narrowFlops > flops / 2 ? 'narrow' : N <= FEW_ROWS_MAX ? 'few rows' : 'rows';
  return { kind, flops, weightsBytes, readBytes };
}

/** Of one tanh it is part of the speed that is measured at the start. */
function functionFlops(layer: RecurrentSpec): number {
  return (FUNCTIONS[layer.type] - 1) * FLOPS_PER_FUNCTION;
}

/** For how many steps x W_x is computed as one product, before the steps are computed. */
export function timeBlockOf(layers: readonly LayerSpec[], T: number, N: number): number {
  const recurrent = layers.filter((layer) => isRecurrent(layer));
  const bytesPerStep = N * Math.max(...recurrent.map(gateColumnsOf)) * F32;
  const W_xBytes = Math.max(...recurrent.map((layer) => layer.D * gatesOf(layer) * padded(layer.H) * F32));
  const blockBytes = Math.max(TIME_BLOCK_BYTES, TIME_BLOCK_SHARE * W_xBytes);
  return Math.max(1, Math.min(T, TIME_BLOCK_STEPS_MAX, Math.floor(blockBytes / bytesPerStep)));
}

function gateColumnsOf(layer: RecurrentSpec): number {
  const isApart = layer.type === 'gru' && layer.reset === 'after';
  return (gatesOf(layer) + (isApart ? 1 : 0)) * padded(layer.H);
}

export function sumOf(lengths: readonly number[]): number {
  return lengths.reduce((sum, length) => sum + length, 0);
}
