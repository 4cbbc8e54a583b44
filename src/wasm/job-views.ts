// The tensors of a job, as views of its block: rows are padded to whole vectors, which strides skip.
import type { TensorView } from '../tensor.ts';
import type { JobLayout } from './job-layout.ts';
import type { JobShape } from './job-shape.ts';
import type { LinearMemory } from './memory.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;

/** The intermediate products of every step, each (T, N, H). */
export interface Trace {
  readonly h_W_h: TensorView;
  readonly x_W_x: TensorView;
  readonly z: TensorView;
}

/** A tensor of three axes whose rows of `size` elements are `rowBytes` apart. */
function viewOf(
  memory: LinearMemory,
  ptr: number,
  [outer, rows, size]: readonly [number, number, number],
  rowBytes: number,
): TensorView {
  const rowFloats = rowBytes / F32;
  return {
    shape: [outer, rows, size],
    strides: [rows * rowFloats, rowFloats, 1],
    data: memory.f32(ptr, outer * rows * rowFloats),
  };
}

/** The state slots, (S, N, H): all states, or the last ones in a ring. */
export function statesView(
  memory: LinearMemory,
  ptr: number,
  { h, stateBytes }: JobLayout,
  N: number,
  H: number,
): TensorView {
  return viewOf(memory, ptr + h.slotsAt, [h.slots, N, H], stateBytes);
}

/** y: the readouts of the last states, (N, O). */
export function lastOutputsView(
  memory: LinearMemory,
  ptr: number,
  { yAt, outputBytes }: JobLayout,
  N: number,
  O: number,
): TensorView {
  const rowFloats = outputBytes / F32;
  return { shape: [N, O], strides: [rowFloats, 1], data: memory.f32(ptr + yAt, N * rowFloats) };
}

/** ys: the readouts of all states, (T, N, O). */
export function outputsView(
  memory: LinearMemory,
  ptr: number,
  { ysAt, outputBytes }: JobLayout,
  { T, N }: JobShape,
  O: number,
): TensorView {
  return viewOf(memory, ptr + ysAt, [T, N, O], outputBytes);
}

export function traceViews(
  memory: LinearMemory,
  ptr: number,
  { traceAt, traceBytes, stateBytes }: JobLayout,
  { T, N }: JobShape,
  H: number,
): Trace {
  const view = (index: number) =>
    viewOf(memory, ptr + traceAt + index * traceBytes, [T, N, H], stateBytes);
  return { h_W_h: view(0), x_W_x: view(1), z: view(2) };
}

/**
 * Each row's state after its last step, (N, H).
 *
 * @param states see statesView()
 * @param h (N, H) before the first step, the result of a row without steps
 * @returns a view of `states` if all rows have T steps, else a copy
 */
export function finalStatesView(
  states: TensorView,
  h: Float32Array,
  { T, lengths }: JobShape,
): TensorView {
  const [slots, N, H] = states.shape as [number, number, number];
  const [slotStride, rowStride] = states.strides as [number, number, number];
  const slotAfter = (steps: number) => ((steps - 1) % slots) * slotStride;
  if (!lengths) {
    return { shape: [N, H], strides: [rowStride, 1], data: states.data.subarray(slotAfter(T)) };
  }
  const result = h.slice();
  for (let n = 0; n < N; n++) {
    const steps = lengths[n]!;
    if (steps === 0) continue;
    const at = slotAfter(steps) + n * rowStride;
    result.set(states.data.subarray(at, at + H), n * H);
  }
  return { shape: [N, H], strides: [H, 1], data: result };
}
