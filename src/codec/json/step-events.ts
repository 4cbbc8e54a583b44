// The events of a streamed sequence: one for each step, and one at the end, without which the reader knows that
// the stream was cut short. The numbers are those of the response that is sent as a whole.
//
//   step   {"t":1,"h":[[…]],"y":[[…]],"trace":{…}}   h_t (N,H), y_t (N,O), if they are wanted
//   done   {"done":true,"t":T,"h":[[…]],"y":[[…]]}   h after each row's last step, and its readout
//   error  {"error":{…}}                             a problem (RFC 9457), instead of the events that are missing
import type { TensorView } from '../../tensor.ts';
import { type JsonSegment, SegmentWriter } from './segments.ts';

/** What stands before and after the JSON of an event, which has no line breaks. */
export interface Framing {
  /** @param t the number of the step, or of the last one; 1 is the first */
  readonly before: (event: 'step' | 'done' | 'error', t: number) => string;
  readonly after: string;
}

/** The framing of each media type in which sequences are streamed. */
export const FRAMINGS: Readonly<Record<string, Framing>> = {
  // https://github.com/ndjson/ndjson-spec
  'application/x-ndjson': { before: () => '', after: '\n' },
  // https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
  'text/event-stream': {
    before: (event, t) => `event: ${event}\nid: ${t}\ndata: `,
    after: '\n\n',
  },
};

/** Some steps of a sequence. */
interface Steps {
  /** Steps of the sequence before these. */
  readonly stepsBefore: number;
  readonly steps: number;
  readonly isLast: boolean;
  /** (N, H) and (N, O), after each row's last step so far. */
  readonly h: TensorView;
  readonly y: TensorView | undefined;
  /** (steps, N, H) and (steps, N, O); absent if they are not wanted. */
  readonly hs: TensorView | undefined;
  readonly ys: TensorView | undefined;
  /** Each (steps, N, H). */
  readonly trace: Readonly<Record<'h_W_h' | 'x_W_x' | 'z', TensorView>> | undefined;
}

/**
 * The events of some steps. A step without hs and trace has none.
 *
 * @param wantsLast whether the last event has h and y
 */
export function segmentsOfSteps(chunk: Steps, wantsLast: boolean, framing: Framing): readonly JsonSegment[] {
  const out = new SegmentWriter();
  if (chunk.hs ?? chunk.trace) {
    for (let i = 0; i < chunk.steps; i++) writeStep(out, chunk, i, framing);
  }
  if (chunk.isLast) writeLast(out, chunk, wantsLast, framing);
  return out.segments();
}

/**
 * The last event of a stream that failed.
 *
 * @param stepsTaken steps whose events were sent
 * @param problem as JSON
 */
export function errorEvent(stepsTaken: number, problem: string, framing: Framing): Buffer {
  const before = framing.before('error', stepsTaken);
  return Buffer.from(`${before}{"error":${problem}}${framing.after}`);
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
  out.text(framing.after);
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
  out.text(framing.after);
}

/** (T, N, …) → (N, …), of one step. */
function stepOf({ shape, strides, data }: TensorView, step: number): TensorView {
  return {
    shape: shape.slice(1),
    strides: strides.slice(1),
    data: data.subarray(step * strides[0]!),
  };
}
