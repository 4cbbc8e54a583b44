// The weights of a model in linear memory, in the order in which its id is a digest of them (models/model-id.ts), so
// that a worker that is given the address can hash or pack them:
//
//   | description | tensors of layers[0] | tensors of layers[1] | …                     the digest is over all of it
//
// The description is the text of describeLayers(), followed by spaces up to a multiple of 4 bytes; the tensors are
// float32, in the order of tensorsOf(). The digest of a model in the short form is older than descriptions, and is
// over sizes and tensors:
//
//   | description || D, H (u32) | W_x (D, H) | W_h (H, H) | b (H) | O (u32) | W_y (H, O) | b_y (O) |
//
// where the last three exist only with a readout.
import { type Layer, type LayerSpec, shortFormOf } from '../layers.ts';
import { countOf, describeLayers, layersWith, tensorsOf } from './layer-tensors.ts';
import type { LinearMemory } from './memory.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;

/** What the id of a model is a digest of, in its order. All of it is little-endian. */
export function* hashedParts(layers: readonly Layer[]): Generator<Uint8Array | Uint32Array | Float32Array> {
  const tensors = tensorsOf(layers);
  if (!shortFormOf(layers)) yield descriptionOf(layers);
  for (const k of layers.keys()) {
    const sizes = sizesBefore(layers, k);
    if (sizes.length > 0) yield Uint32Array.from(sizes);
    for (const { name, data } of tensors) if (name.startsWith(`layers.${k}.`)) yield data;
  }
}

/** The layers whose weights are in the block at `ptr`, in place. */
export function layersAt(buffer: SharedArrayBuffer, ptr: number, descriptionBytes: number): Layer[] {
  // TextDecoder does not read shared memory.
  const text = Buffer.from(buffer, ptr, descriptionBytes).toString('latin1');
  return layersIn(buffer, ptr + descriptionBytes, JSON.parse(text) as LayerSpec[]);
}

/** Bytes of the block of a model. */
export function weightsBlockBytes(layers: readonly LayerSpec[]): number {
  let numbers = 0;
  layersWith(layers, (_, shape) => {
    numbers += countOf(shape);
    return NO_NUMBERS;
  });
  const sizes = layers.reduce((sum, _, k) => sum + sizesBefore(layers, k).length, 0);
  return descriptionOf(layers).length + (sizes + numbers) * F32;
}

/** A block whose tensors are to be filled, and which is to be released once. */
export class WeightsBlock implements Disposable {
  readonly ptr: number;
  readonly bytes: number;
  /** Of the description at its beginning. */
  readonly descriptionBytes: number;
  /** The part that the id of the model is a digest of. */
  readonly hashed: { readonly ptr: number; readonly bytes: number };
  readonly layers: readonly Layer[];
  readonly #memory: LinearMemory;

  /** All tensors are to be filled. @throws memory_full */
  constructor(memory: LinearMemory, layers: readonly LayerSpec[]) {
    const description = descriptionOf(layers);
    const start = shortFormOf(layers) ? description.length : 0;
    this.#memory = memory;
    this.bytes = weightsBlockBytes(layers);
    this.ptr = memory.allocate(this.bytes);
    this.descriptionBytes = description.length;
    this.hashed = { ptr: this.ptr + start, bytes: this.bytes - start };
    memory.bytes.set(description, this.ptr);
    const { buffer } = memory.u32(this.ptr, 1);
    this.layers = layersIn(buffer, this.ptr + description.length, layers, true);
  }

  [Symbol.dispose](): void {
    this.release();
  }

  release(): void {
    this.#memory.free(this.ptr);
  }
}

const NO_NUMBERS = new Float32Array();

/**
 * @param start address of what follows the description
 * @param writesSizes whether the sizes of the short form are written
 */
function layersIn(
  buffer: SharedArrayBuffer,
  start: number,
  layers: readonly LayerSpec[],
  writesSizes = false,
): Layer[] {
  let at = start;
  let begun = -1;
  return layersWith(layers, (_, shape, layer) => {
    if (layer > begun) {
      const sizes = sizesBefore(layers, layer);
      if (writesSizes) new Uint32Array(buffer, at, sizes.length).set(sizes);
      at += sizes.length * F32;
      begun = layer;
    }
    const tensor = new Float32Array(buffer, at, countOf(shape));
    at += tensor.byteLength;
    return tensor;
  });
}

/** The sizes before the tensors of a layer: in the short form D and H, and O; none in any other. */
function sizesBefore(layers: readonly LayerSpec[], layer: number): number[] {
  const short = shortFormOf(layers);
  if (!short) return [];
  return layer === 0 ? [short.D, short.H] : [short.O];
}

function descriptionOf(layers: readonly LayerSpec[]): Uint8Array {
  const text = describeLayers(layers);
  return Buffer.from(text.padEnd(Math.ceil(text.length / F32) * F32), 'latin1');
}
