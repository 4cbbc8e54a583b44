// Weights in linear memory, in the order in which their id is a digest of them (models/digest.ts), so that a worker that
// is given the address can hash or pack them:
//
//   | D, H (u32) | W_x (D, H) | W_h (H, H) | b (H) | O (u32) | W_y (H, O) | b_y (O) |
//
// All are float32 except the sizes. O, W_y and b_y exist only with a readout.
import type { Readout, Weights } from '../tensor.ts';
import type { LinearMemory } from './memory.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;

export interface WeightsSizes {
  /** Inputs. */
  readonly D: number;
  /** Hidden units. */
  readonly H: number;
  /** Outputs; 0 if there is no readout. */
  readonly O: number;
}

export interface WeightsInPlace {
  readonly weights: Weights;
  readonly readout: Readout | undefined;
}

/** Bytes of the block of such weights. */
export function weightsBlockBytes({ D, H, O }: WeightsSizes): number {
  const readout = O === 0 ? 0 : 1 + (H + 1) * O;
  return (2 + (D + H + 1) * H + readout) * F32;
}

/** The tensors of the block at `ptr`, in place. */
export function weightsAt(buffer: SharedArrayBuffer, ptr: number, { D, H, O }: WeightsSizes): WeightsInPlace {
  let at = ptr + 2 * F32;
  const next = (count: number) => {
    const view = new Float32Array(buffer, at, count);
    at += count * F32;
    return view;
  };
  const weights = { D, H, W_x: next(D * H), W_h: next(H * H), b: next(H) };
  if (O === 0) return { weights, readout: undefined };
  at += F32;
  return { weights, readout: { O, W_y: next(H * O), b_y: next(O) } };
}

/** A block whose tensors are to be filled, and which is to be released once. */
export class WeightsBlock implements WeightsInPlace, Disposable {
  readonly ptr: number;
  readonly bytes: number;
  readonly sizes: WeightsSizes;
  readonly weights: Weights;
  readonly readout: Readout | undefined;
  readonly #memory: LinearMemory;

  /** Biases are zeros until they are filled. @throws memory_full */
  constructor(memory: LinearMemory, sizes: WeightsSizes) {
    const { D, H, O } = sizes;
    this.#memory = memory;
    this.sizes = sizes;
    this.bytes = weightsBlockBytes(sizes);
    this.ptr = memory.allocate(this.bytes);
    const { weights, readout } = weightsAt(memory.u32(this.ptr, 2).buffer, this.ptr, sizes);
    this.weights = weights;
    this.readout = readout;
    memory.u32(this.ptr, 2).set([D, H]);
    weights.b.fill(0);
    if (!readout) return;
    memory.u32(readout.W_y.byteOffset - F32, 1)[0] = O;
    readout.b_y.fill(0);
  }

  [Symbol.dispose](): void {
    this.release();
  }

  release(): void {
    this.#memory.free(this.ptr);
  }
}
