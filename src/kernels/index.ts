// The entry of the kernels: runs a job (layout.ts) from its first step to its last, or a slice of these.
//
// The layers of the model are computed one after the other for a segment of steps, so that what one layer hands to the
// next stays in the cache. If a layer is reversed, a segment is all steps. The head, the layers behind the last recurrent
// one, is computed at the end: no state depends on it.
export { areFinite } from './finite';
import {
  EMBEDDING,
  JOB_END_STEP,
  JOB_FIRST_STEP,
  JOB_HEAD,
  JOB_MODEL,
  JOB_ROWS,
  JOB_RUNS,
  JOB_SEGMENT,
  KIND_HOST,
  KIND_JOB,
  KIND_PRINT,
  KIND_READ,
  LAYER_KIND,
  RECORD_KIND,
  RNN,
  ROW_STEPS,
} from './layout';
import { print } from './print';
export { multiplyAdd } from './product';
import { read } from './read';
export { countCommas } from './read';
import { computeRecurrent, copyFinalStates } from './recurrent';
import { computeHead, computeSteps } from './rows';
import { layerAt, runAt } from './sequence';
export { exp, sigmoid, tanh } from './functions';
export { useVectors } from './vectors';

/** Calls the host function that the record at `record` names (wasm/host-job.ts). */
// @ts-ignore: decorator
@external("env", "runHost")
declare function runHost(record: usize): void;

/** Runs the record at `record`, whatever its kind, and returns when it is done. */
export function run(record: usize): void {
  const kind = load<u32>(record, RECORD_KIND);
  if (kind == KIND_JOB) runJob(record);
  else if (kind == KIND_READ) read(record);
  else if (kind == KIND_PRINT) print(record);
  else runHost(record);
}

function runJob(job: usize): void {
  // The first row is the longest.
  const longest = load<u32>(load<usize>(job, JOB_ROWS), ROW_STEPS);
  const end = min(load<u32>(job, JOB_END_STEP), longest);
  const segment = load<u32>(job, JOB_SEGMENT);
  let t = load<u32>(job, JOB_FIRST_STEP);
  // At least once: rows without steps, too, have states before and after them.
  do {
    const segmentEnd = min(end, t + segment);
    computeSegment(job, t, segmentEnd);
    t = segmentEnd;
  } while (t < end);
  const isLastSlice = load<u32>(job, JOB_END_STEP) >= longest;
  if (isLastSlice) copyStates(job);
  computeHead(job, isLastSlice);
}

/** Computes all layers but the head for the steps firstStep … endStep - 1. */
function computeSegment(job: usize, firstStep: u32, endStep: u32): void {
  const model = load<usize>(job, JOB_MODEL);
  const runs = load<usize>(job, JOB_RUNS);
  const head = load<u32>(job, JOB_HEAD);
  for (let k: u32 = 0; k < head; ) {
    const kind = load<u32>(layerAt(model, k), LAYER_KIND);
    let next = k + 1;
    if (kind >= <u32>RNN) {
      computeRecurrent(job, layerAt(model, k), runAt(runs, k), firstStep, endStep);
    } else if (kind != EMBEDDING) {
      while (next < head && load<u32>(layerAt(model, next), LAYER_KIND) < <u32>RNN) next++;
      computeSteps(job, k, next, firstStep, endStep);
    }
    k = next;
  }
}

function copyStates(job: usize): void {
  const model = load<usize>(job, JOB_MODEL);
  const head = load<u32>(job, JOB_HEAD);
  for (let k: u32 = 0; k < head; k++) {
    const layer = layerAt(model, k);
    if (load<u32>(layer, LAYER_KIND) >= <u32>RNN) copyFinalStates(job, layer, runAt(load<usize>(job, JOB_RUNS), k));
  }
}
