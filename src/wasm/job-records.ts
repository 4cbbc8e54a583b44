// The records of a packed model and of a job, as the kernels read them (kernels/layout.ts).
import * as layout from '../kernels/layout.ts';
import { recordClass } from './record.ts';

/** A layer of a packed model, or one direction of it. */
export const LayerRecord = recordClass({
  kind: layout.LAYER_KIND,
  activation: layout.LAYER_ACTIVATION,
  inputs: layout.LAYER_INPUTS,
  outputs: layout.LAYER_OUTPUTS,
  narrow: layout.LAYER_NARROW,
  reverse: layout.LAYER_REVERSE,
  W_x: layout.LAYER_W_X,
  W_h: layout.LAYER_W_H,
  b: layout.LAYER_B,
  finishB: layout.LAYER_FINISH_B,
});

/** What `run` of the kernels is given: some steps of some rows. */
export const JobRecord = recordClass({
  model: layout.JOB_MODEL,
  runs: layout.JOB_RUNS,
  N: layout.JOB_N,
  rows: layout.JOB_ROWS,
  pairs: layout.JOB_PAIRS,
  pairsMax: layout.JOB_PAIRS_MAX,
  scratch: layout.JOB_SCRATCH,
  scratchRow: layout.JOB_SCRATCH_ROW,
  timeBlock: layout.JOB_TIME_BLOCK,
  segment: layout.JOB_SEGMENT,
  head: layout.JOB_HEAD,
  y: layout.JOB_Y,
  yRow: layout.JOB_Y_ROW,
  final: layout.JOB_FINAL,
  finalRow: layout.JOB_FINAL_ROW,
  firstStep: layout.JOB_FIRST_STEP,
  endStep: layout.JOB_END_STEP,
  kind: layout.RECORD_KIND,
});

/** A row of the mini-batch. */
export const RowRecord = recordClass({
  n: layout.ROW_N,
  steps: layout.ROW_STEPS,
  infiniteRun: layout.ROW_INFINITE_RUN,
  infiniteStep: layout.ROW_INFINITE_STEP,
});

/** Where the vectors of each row and step are. */
export const SequenceRecord = recordClass({
  at: layout.SEQUENCE_AT,
  step: layout.SEQUENCE_STEP,
  row: layout.SEQUENCE_ROW,
  mask: layout.SEQUENCE_MASK,
});

/** A layer in a job; its sequences are SequenceRecords at RUN_X, RUN_OUT, … */
export const RunRecord = recordClass({
  hInitial: layout.RUN_H_INITIAL,
  hBefore: layout.RUN_H_BEFORE,
  hFinal: layout.RUN_H_FINAL,
  finalRow: layout.RUN_FINAL_ROW,
  cInitial: layout.RUN_C_INITIAL,
  c: layout.RUN_C,
  productsSize: layout.RUN_PRODUCTS_SIZE,
  embedding: layout.RUN_EMBEDDING,
});
