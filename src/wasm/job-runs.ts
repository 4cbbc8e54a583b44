// The run records of a job: where each layer of the model has its inputs, states and outputs.
import {
  LAYER_BYTES,
  MODEL_BYTES,
  RUN_BYTES,
  RUN_GATES,
  RUN_OUT,
  RUN_PRODUCTS,
  RUN_TRACE,
  RUN_X,
} from '../kernels/layout.ts';
import { inputsOf, isRecurrent } from '../layers.ts';
import type { JobLayout, VectorRegion } from './job-layout.ts';
import { RunRecord, SequenceRecord } from './job-records.ts';
import type { JobShape } from './job-shape.ts';
import type { LinearMemory } from './memory.ts';

const F32 = Float32Array.BYTES_PER_ELEMENT;
/** ANDed with a step, it gives its slot: here each step has a slot of its own. */
const ALL_STEPS = 0xffff_ffff;

/** Addresses in linear memory. */
export interface RunAddresses {
  /** Of the job's block. */
  readonly ptr: number;
  /** Of the packed model. */
  readonly modelPtr: number;
  /** (T, N, D), or of an embedding (T, N). */
  readonly xPtr: number;
  /** (N, H) of the first recurrent layer before the first step. */
  readonly hPtr: number;
}

/** Writes a record for each layer record of the model. */
export function writeRuns(memory: LinearMemory, addresses: RunAddresses, layout: JobLayout, shape: JobShape): void {
  const { ptr, modelPtr, xPtr, hPtr } = addresses;
  const { T, N } = shape;
  const { runs } = layout;
  const firstWord = (ptr + layout.runsAt) >>> 2;
  memory.words.fill(0, firstWord, firstWord + (runs.length * RUN_BYTES) / F32);
  /** Where the inputs of the next layer are. */
  let input: { at: number; row: number; slots: number } | undefined;
  let embedding = 0;
  let isFirstRecurrent = true;
  for (const [k, run] of runs.entries()) {
    const at = ptr + layout.runsAt + k * RUN_BYTES;
    const { spec } = run.layer;
    const record = new RunRecord(memory, at);
    const write = (field: number, region: VectorRegion | undefined, column = 0) => {
      if (!region) return;
      const row = region.columns * F32;
      writeSequence(memory, at + field, { at: ptr + region.at + column * F32, row, slots: region.slots }, shape);
    };
    input ??= { at: xPtr, row: inputsOf(spec) * F32, slots: T };
    // Layers behind one whose outputs are not kept read the same as it, or scratch rows.
    writeSequence(memory, at + RUN_X, input, shape);
    record.embedding = embedding;
    write(RUN_OUT, run.out, run.outColumn);
    if (spec.type === 'embedding') embedding = modelPtr + MODEL_BYTES + k * LAYER_BYTES;
    if (isRecurrent(spec)) {
      write(RUN_GATES, run.gates ?? run.out, run.gates ? 0 : run.outColumn);
      write(RUN_TRACE, run.trace);
      if (run.products) write(RUN_PRODUCTS, { ...run.products, slots: T });
      record.productsSize = run.products ? T * N * run.products.columns * F32 : 0;
      record.hInitial = isFirstRecurrent ? hPtr : ptr + run.h!.initialAt;
      isFirstRecurrent = false;
      record.hBefore = ptr + run.h!.currentAt;
      record.hFinal = ptr + run.finalAt + run.outColumn * F32;
      record.finalRow = run.finalColumns * F32;
      if (run.c) {
        record.cInitial = ptr + run.c.initialAt;
        record.c = ptr + run.c.currentAt;
      }
    }
    const isFollowedBySecond = runs[k + 1]?.layer.layer === run.layer.layer;
    if (!run.out || isFollowedBySecond) continue;
    input = { at: ptr + run.out.at, row: run.out.columns * F32, slots: run.out.slots };
    embedding = 0;
  }
}

function writeSequence(
  memory: LinearMemory,
  ptr: number,
  { at, row, slots }: { readonly at: number; readonly row: number; readonly slots: number },
  { T, N }: JobShape,
): void {
  const sequence = new SequenceRecord(memory, ptr);
  sequence.at = at;
  sequence.row = row;
  sequence.step = N * row;
  sequence.mask = slots === T ? ALL_STEPS : slots - 1;
}
