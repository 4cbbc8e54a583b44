// A sequence whose steps are answered while they are computed: server-sent events, one for each step. Each has its JSON in one
// line, `data: {…}`; what its other lines say is in the JSON too.
import { linkedTo } from './abort.ts';
import { type CellStates, type Computation, type States, decodeJson, encode } from './computation.ts';
import { parseText } from './json.ts';
import { problemError, unreadable } from './problem.ts';
import type { Tensor } from './tensor.ts';
import type { Trace } from './trace.ts';
import type { Call, Transport } from './transport.ts';

/** One step of a stream. */
export interface StreamedStep {
  readonly done?: never;
  /** Its number; 1 is the first. */
  readonly t: number;
  /** Of the last recurrent layer, (N, H); 0 in rows that have ended. With output hs. */
  readonly h?: Tensor;
  /** (N, O), with output ys. */
  readonly y?: Tensor;
  readonly trace?: Trace;
}

/** The end of a stream: what the answer as a whole has besides its steps. */
export interface StreamedEnd {
  readonly done: true;
  readonly t: number;
  readonly h?: States;
  readonly c?: CellStates;
  readonly y?: Tensor;
  readonly trace?: never;
}

const DATA = 'data: ';

/**
 * The steps of a sequence, and its end. If the connection is lost, the sequence is sent again, and goes on where it was:
 * the bits are the same.
 *
 * @throws CarryoverError · the reason of a signal that aborts
 */
export async function* streamSequence(
  transport: Transport,
  computation: Computation,
  signal: AbortSignal | undefined,
): AsyncGenerator<StreamedStep | StreamedEnd, void, undefined> {
  const { body } = encode(computation);
  const call: Call = { method: 'POST', path: 'v1/sequence', body, accept: 'text/event-stream', signal };
  const { controller, release } = linkedTo(transport.signalsOf(call));
  let lastT = 0;
  let patience = transport.patience();
  try {
    for (;;) {
      const response = await transport.open(call, controller.signal);
      try {
        for await (const line of linesOf(response)) {
          if (!line.startsWith(DATA)) continue;
          const item = itemOf(line.slice(DATA.length));
          // Sent before the connection was lost.
          if (!item.done && item.t <= lastT) continue;
          yield item;
          if (item.done) return;
          lastT = item.t;
          patience = transport.patience();
        }
        throw new Error('it ended before its last event');
      } catch (error) {
        controller.signal.throwIfAborted();
        await patience.waitAfter(transport.toError(call, error));
      }
    }
  } finally {
    release();
    controller.abort();
  }
}

/** The lines of a body as they arrive; of a body that ends within a line, not this one. */
async function* linesOf(response: Response): AsyncGenerator<string, void, undefined> {
  if (!response.body) throw unreadable('an answer without a body');
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
      const lines = (rest + decoder.decode(chunk.value, { stream: true })).split('\n');
      rest = lines.pop()!;
      yield* lines;
    }
  } finally {
    // What is left is not wanted; that it cannot be cancelled does not matter either.
    reader.cancel().catch(() => undefined);
  }
}

function itemOf(line: string): StreamedStep | StreamedEnd {
  const value = parseText(line);
  const { error } = (value ?? {}) as Record<string, unknown>;
  if (error !== undefined) throw problemError(error);
  const { fields, ...tensors } = decodeJson(value);
  const { t, done } = fields;
  if (typeof t !== 'number') throw unreadable('an event without t');
  return { ...tensors, t, ...(done === true && { done }) } as StreamedStep | StreamedEnd;
}
