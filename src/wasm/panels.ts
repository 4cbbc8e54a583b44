// Packs weights once into panels, as the kernels read them (kernels/README.md): each panel has some columns, row after
// row; first all panels of W_x, then those of W_h, then b.
//
//   W_x panel 0 | W_x panel 1 | … | W_h panel 0 | … | b          panel: row 0 | row 1 | …
//
// Columns beyond H are zeros. Narrow models (NARROW_MAX) are packed as float64 in panels of NR columns, others as
// float32 in panels of WIDE columns, of which the last has NR if that is enough.
import { setImmediate as nextIteration } from 'node:timers/promises';
import { NARROW_MAX, NR, WIDE } from '../kernels/layout.ts';
import type { Readout, Weights } from '../tensor.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;
/** Numbers of a slice, which are packed in a few milliseconds. */
const SLICE_NUMBERS = 131_072;

/** Whether a model is narrow: the kernels sum it in float64. */
export function isNarrow(D: number, H: number): boolean {
  return D + H <= NARROW_MAX;
}

/** Byte offsets of W_x, W_h and b in the packed weights, and the bytes of all of them. */
export function panelOffsets(D: number, H: number) {
  const elementBytes = isNarrow(D, H) ? Float64Array.BYTES_PER_ELEMENT : Float32Array.BYTES_PER_ELEMENT;
  const rowBytes = Math.ceil(H / NR) * NR * elementBytes;
  return { W_x: 0, W_h: D * rowBytes, b: (D + H) * rowBytes, bytes: (D + H + 1) * rowBytes };
}

/** Bytes of the packed weights of a model with D inputs and H hidden units. */
export function panelsBytes(D: number, H: number): number {
  return panelOffsets(D, H).bytes;
}

/** Writes W_x (D, H), W_h (H, H) and b (H) into `target`, the first panelsBytes(D, H) of it. */
export function packPanels({ D, H, W_x, W_h, b }: Weights, target: Float32Array): void {
  const { buffer, byteOffset } = target;
  const offsets = panelOffsets(D, H);
  const at = (from: number, end: number) =>
    isNarrow(D, H)
      ? new Float64Array(buffer, byteOffset + from, (end - from) / Float64Array.BYTES_PER_ELEMENT)
      : new Float32Array(buffer, byteOffset + from, (end - from) / Float32Array.BYTES_PER_ELEMENT);
  packMatrix(W_x, D, H, at(offsets.W_x, offsets.W_h));
  packMatrix(W_h, H, H, at(offsets.W_h, offsets.b));
  packMatrix(b, 1, H, at(offsets.b, offsets.bytes));
}

/** Bytes of a packed model: the panels of its weights and, after them, of its readout. */
export function modelBytes(D: number, H: number, O: number): number {
  return panelsBytes(D, H) + (O === 0 ? 0 : readoutOffsets(H, O).bytes);
}

/** Packs a model into the modelBytes() bytes at `ptr`. */
export function packModel(
  weights: Weights,
  readout: Readout | undefined,
  memory: SharedArrayBuffer,
  ptr: number,
): void {
  const { weightsPanels, readoutPanels } = panelsAt(weights, readout, memory, ptr);
  packPanels(weights, weightsPanels);
  if (readout) packReadout(weights.H, readout, readoutPanels);
}

/** Packs a model that is not narrow in slices, one in an event-loop iteration. */
export async function packModelInSlices(
  weights: Weights,
  readout: Readout | undefined,
  memory: SharedArrayBuffer,
  ptr: number,
): Promise<void> {
  const { D, H, W_x, W_h, b } = weights;
  const { weightsPanels, readoutPanels } = panelsAt(weights, readout, memory, ptr);
  const offsets = panelOffsets(D, H);
  const at = (from: number, end: number) => weightsPanels.subarray(from / F32, end / F32);
  await packMatrixInSlices(W_x, D, H, at(offsets.W_x, offsets.W_h));
  await packMatrixInSlices(W_h, H, H, at(offsets.W_h, offsets.b));
  packMatrix(b, 1, H, at(offsets.b, offsets.bytes));
  if (!readout) return;
  const { O, W_y, b_y } = readout;
  const b_yAt = readoutOffsets(H, O).b_y / F32;
  await packMatrixInSlices(W_y, H, O, readoutPanels.subarray(0, b_yAt));
  packMatrix(b_y, 1, O, readoutPanels.subarray(b_yAt));
}

async function packMatrixInSlices(W: Float32Array, K: number, H: number, target: Float32Array) {
  target.fill(0);
  const columns = WIDE * Math.max(1, Math.floor(SLICE_NUMBERS / (WIDE * K)));
  for (let first = 0; first < H; first += columns) {
    packColumns(W, K, H, target, first, Math.min(H, first + columns));
    await nextIteration();
  }
}

function panelsAt(
  { D, H }: Weights,
  readout: Readout | undefined,
  memory: SharedArrayBuffer,
  ptr: number,
) {
  const weightsBytes = panelsBytes(D, H);
  const readoutBytes = readout ? readoutOffsets(H, readout.O).bytes : 0;
  return {
    weightsPanels: new Float32Array(memory, ptr, weightsBytes / F32),
    readoutPanels: new Float32Array(memory, ptr + weightsBytes, readoutBytes / F32),
  };
}

/** Byte offsets of W_y and b_y in a packed readout of H hidden units, and the bytes of both. */
export function readoutOffsets(H: number, O: number) {
  const rowBytes = Math.ceil(O / NR) * NR * Float32Array.BYTES_PER_ELEMENT;
  return { W_y: 0, b_y: H * rowBytes, bytes: (H + 1) * rowBytes };
}

/** Writes W_y (H, O) and b_y (O) into `target`, readoutOffsets(H, O).bytes / 4 floats. */
export function packReadout(H: number, { O, W_y, b_y }: Readout, target: Float32Array): void {
  packMatrix(W_y, H, O, target.subarray(0, target.length - Math.ceil(O / NR) * NR));
  packMatrix(b_y, 1, O, target.subarray(target.length - Math.ceil(O / NR) * NR));
}

function packMatrix(W: Float32Array, K: number, H: number, target: Float32Array | Float64Array): void {
  target.fill(0);
  packColumns(W, K, H, target, 0, H);
}

/** Packs the columns first … last - 1; a panel begins at `first`. */
function packColumns(
  W: Float32Array,
  K: number,
  H: number,
  target: Float32Array | Float64Array,
  first: number,
  last: number,
): void {
  const paddedH = Math.ceil(H / NR) * NR;
  const widest = target instanceof Float64Array ? NR : WIDE;
  for (let column = first; column < last; column += widest) {
    const width = Math.min(widest, paddedH - column);
    const columns = Math.min(width, H - column);
    for (let k = 0; k < K; k++) {
      const to = column * K + k * width;
      for (let j = 0; j < columns; j++) target[to + j] = W[k * H + column + j]!;
    }
  }
}
