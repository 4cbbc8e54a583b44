// The events of a streamed sequence: one for each step, and one at the end, without which the reader knows that
// the stream was cut short. The numbers are those of the response that is sent as a whole.
//
//   step   {"t":1,"h":[[…]],"y":[[…]],"trace":{…}}   h_t (N,H), y_t (N,O), if they are wanted
//   done   {"done":true,"t":T,"h":[[…]],"y":[[…]]}   the states after each row's last step, and their readout
//   error  {"error":{…}}                             a problem (RFC 9457), instead of the events that are missing
import type { TensorView } from '../../tensor.ts';
import { type JsonSegment, SegmentWriter, type TensorTree, type Tensors, isArray, isTensor } from './segments.ts';

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
  /** (steps, N, H) and (steps, N, O); undefined if they are not wanted. */
  readonly each: { readonly h: TensorView | undefined; readonly y: TensorView | undefined };
  /** What the last event has: states and y after each row's last step so far. */
  readonly last: Tensors;
  /** Its tensors are (steps, N, H). */
  readonly trace: Tensors | undefined;
}

/** The events of some steps. A step without tensors has none. */
export function segmentsOfSteps(chunk: Steps, framing: Framing): readonly JsonSegment[] {
  const out = new SegmentWriter();
  if (chunk.each.h ?? chunk.each.y ?? chunk.trace) {
    for (let i = 0; i < chunk.steps; i++) writeStep(out, chunk, i, framing);
  }
  if (chunk.isLast) writeLast(out, chunk, framing);
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
  const { each, trace, stepsBefore } = chunk;
  const t = stepsBefore + index + 1;
  out.text(framing.before('step', t));
  out.open();
  out.key('t');
  out.text(`${t}`);
  out.tensors(stepsOf(each, index));
  if (trace) {
    out.key('trace');
    out.open();
    out.tensors(stepsOf(trace, index));
    out.close();
  }
  out.close();
  out.text(framing.after);
}

function writeLast(out: SegmentWriter, chunk: Steps, framing: Framing): void {
  const T = chunk.stepsBefore + chunk.steps;
  out.text(framing.before('done', T));
  out.open();
  out.key('done');
  out.text('true');
  out.key('t');
  out.text(`${T}`);
  out.tensors(chunk.last);
  out.close();
  out.text(framing.after);
}

/** One step of all tensors of an object. */
function stepsOf(tensors: Tensors, step: number): Tensors {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, tree]) => [name, tree === undefined ? undefined : stepOfTree(tree, step)]),
  );
}

function stepOfTree(tree: TensorTree, step: number): TensorTree {
  if (typeof tree !== 'object' || tree === null) return tree;
  if (isTensor(tree)) return stepOf(tree, step);
  if (isArray(tree)) return tree.map((item) => stepOfTree(item, step));
  return stepsOf(tree, step);
}

/** (T, N, …) → (N, …), of one step. */
function stepOf({ shape, strides, data }: TensorView, step: number): TensorView {
  return {
    shape: shape.slice(1),
    strides: strides.slice(1),
    data: data.subarray(step * strides[0]!),
  };
}
