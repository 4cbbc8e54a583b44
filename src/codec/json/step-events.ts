// A sequence as text while it is computed: one event a step, and one at the end that says it was the
// end, so a stream that was cut is recognised. The numbers are those of the answer in one piece.
//
//   step   {"t":1,"h":[[…]],"y":[[…]],"trace":{…}}   h_t (N,H), y_t (N,O), if they are wanted
//   done   {"done":true,"t":T,"h":[[…]],"y":[[…]]}   h after each row's last step, its readout
//   error  {"error":{…}}                             a problem, in place of what would have followed
import type { TensorView } from '../../tensor.ts';
import { type JsonSegment, SegmentWriter } from './segments.ts';

/** What stands before and behind one event's JSON, which has no line breaks. */
export interface Framing {
  readonly before: (event: 'step' | 'done' | 'error', t: number) => string;
  readonly behind: string;
}

/** By media type. */
export const FRAMINGS: Readonly<Record<string, Framing>> = {
  // https://github.com/ndjson/ndjson-spec
  'application/x-ndjson': { before: () => '', behind: '\n' },
  // https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
  'text/event-stream': {
    before: (event, t) => `event: ${event}\nid: ${t}\ndata: `,
    behind: '\n\n',
  },
};

/** Some steps of a sequence; each tensor with the steps as its outer axis. */
interface Steps {
  readonly stepsBefore: number;
  readonly steps: number;
  readonly isLast: boolean;
  readonly h: TensorView;
  readonly y: TensorView | undefined;
  readonly hs: TensorView | undefined;
  readonly ys: TensorView | undefined;
  readonly trace: Readonly<Record<'h_W_h' | 'x_W_x' | 'z', TensorView>> | undefined;
}

/**
 * The events of some steps. Steps without anything to tell make none.
 *
 * @param wantsLast whether the last event carries h and y
 */
export function segmentsOfSteps(chunk: Steps, wantsLast: boolean, framing: Framing): readonly JsonSegment[] {
  const out = new SegmentWriter();
  if (chunk.hs ?? chunk.trace) {
    for (let i = 0; i < chunk.steps; i++) writeStep(out, chunk, i, framing);
  }
  if (chunk.isLast) writeLast(out, chunk, wantsLast, framing);
  return out.pieces();
}

/** The last line of a stream that failed; `problem` is JSON. */
export function errorEvent(stepsTaken: number, problem: string, framing: Framing): Buffer {
  const before = framing.before('error', stepsTaken);
  return Buffer.from(`${before}{"error":${problem}}${framing.behind}`);
}

function writeStep(out: SegmentWriter, chunk: Steps, index: number, framing: Framing): void {
  const { hs, ys, trace, stepsBefore } = chunk;
  const t = stepsBefore + index + 1;
  out.text(framing.before('step', t));
  out.open();
  out.key('t');
  out.text(`${t}`);
  out.tensors({ h: hs && stepOf(hs, index), y: ys && stepOf(ys, index) });
  if (trace) {
    out.key('trace');
    out.open();
    const { h_W_h, x_W_x, z } = trace;
    out.tensors({ h_W_h: stepOf(h_W_h, index), x_W_x: stepOf(x_W_x, index), z: stepOf(z, index) });
    out.close();
  }
  out.close();
  out.text(framing.behind);
}

function writeLast(out: SegmentWriter, chunk: Steps, wantsLast: boolean, framing: Framing): void {
  const T = chunk.stepsBefore + chunk.steps;
  out.text(framing.before('done', T));
  out.open();
  out.key('done');
  out.text('true');
  out.key('t');
  out.text(`${T}`);
  if (wantsLast) out.tensors({ h: chunk.h, y: chunk.y });
  out.close();
  out.text(framing.behind);
}

/** (T, N, …) → (N, …) of one step. */
function stepOf({ shape, strides, data }: TensorView, step: number): TensorView {
  return {
    shape: shape.slice(1),
    strides: strides.slice(1),
    data: data.subarray(step * strides[0]!),
  };
}
