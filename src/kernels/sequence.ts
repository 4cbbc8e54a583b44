// Where vectors of a row at a step are in linear memory (layout.ts, SEQUENCE_…), and which rows have a step.
import {
  LAYER_BYTES,
  LAYER_OUTPUTS,
  LAYER_REVERSE,
  MODEL_BYTES,
  NR,
  ROW_BYTES,
  ROW_N,
  ROW_STEPS,
  RUN_BYTES,
  RUN_H_BEFORE,
  RUN_OUT,
  SEQUENCE_AT,
  SEQUENCE_MASK,
  SEQUENCE_ROW,
  SEQUENCE_STEP,
} from './layout';

/** Address of the vector of row n at step t. */
// @ts-ignore: decorator
@inline
export function vectorAt(sequence: usize, n: u32, t: u32): usize {
  const slot = t & load<u32>(sequence, SEQUENCE_MASK);
  return (
    load<usize>(sequence, SEQUENCE_AT) +
    <usize>slot * load<usize>(sequence, SEQUENCE_STEP) +
    <usize>n * load<usize>(sequence, SEQUENCE_ROW)
  );
}

/** How many rows have a step s, of the `active` ones that have a step s - 1: rows are sorted by their steps. */
export function activeAt(rows: usize, active: u32, s: u32): u32 {
  while (active > 0 && load<u32>(rows + (active - 1) * ROW_BYTES, ROW_STEPS) <= s) active--;
  return active;
}

/** Bytes of a vector of `columns` floats, padded to whole vectors of NR. */
// @ts-ignore: decorator
@inline
export function paddedBytes(columns: u32): usize {
  return <usize>((columns + NR - 1) / NR) * (NR << 2);
}

/** Address of the record of a model's layer. */
// @ts-ignore: decorator
@inline
export function layerAt(model: usize, k: u32): usize {
  return model + MODEL_BYTES + k * LAYER_BYTES;
}

/** Address of the run record of a layer. */
// @ts-ignore: decorator
@inline
export function runAt(runs: usize, k: u32): usize {
  return runs + k * RUN_BYTES;
}

/** The step t that is computed as the s-th of a row. */
// @ts-ignore: decorator
@inline
export function timeOf(layer: usize, row: usize, s: u32): u32 {
  return load<u32>(layer, LAYER_REVERSE) ? load<u32>(row, ROW_STEPS) - 1 - s : s;
}

/** Address of the hidden state before the s-th step of a row. */
export function stateBefore(layer: usize, run: usize, row: usize, s: u32): usize {
  const n = load<u32>(row, ROW_N);
  if (s > 0) return vectorAt(run + RUN_OUT, n, timeOf(layer, row, s - 1));
  return load<usize>(run, RUN_H_BEFORE) + <usize>n * paddedBytes(load<u32>(layer, LAYER_OUTPUTS));
}
