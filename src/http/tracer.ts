// How HTTP tells which trace a request is part of. A tracer makes spans of requests (tracing/); without one, a client's
// trace is only named: in the log, in problems, and in the response.
import type { IncomingMessage } from 'node:http';
import type { RequestRecord } from '../request-record.ts';
import { RequestTrace } from '../request-trace.ts';
import { type TraceContext, readTraceparent } from '../trace-context.ts';
import { isHealthAddress } from './health-address.ts';
import type { RequestEndListener } from './request-end.ts';

const TRACESTATE_CHARACTERS_MAX = 512;
const TRACESTATE_MEMBERS_MAX = 32;

export interface Tracer {
  /**
   * The trace of a request that arrives.
   *
   * @param parent the caller's span; undefined if the trace begins here
   * @param tracestate the header of this name, within the bounds of the standard; only with a parent
   */
  begin(parent: TraceContext | undefined, tracestate: string | undefined): RequestTrace;
  /** The trace of a message of a WebSocket. @param handshake that of the request by which it was opened */
  beginMessage(handshake: RequestTrace): RequestTrace;
  readonly onRequestEnd: RequestEndListener;
  readonly onMessageEnd: (record: RequestRecord) => void;
}

declare module 'node:http' {
  interface IncomingMessage {
    /** The trace that it is part of; undefined if there is none. */
    trace?: RequestTrace | undefined;
  }
}

/** Sets the trace of a request that arrives. To be called once, before anything is logged of it. */
export function beginTrace(request: IncomingMessage, tracer: Tracer | undefined): RequestTrace | undefined {
  const { traceparent } = request.headers;
  if (traceparent === undefined && (!tracer || isProbe(request))) return undefined;
  const parent = readTraceparent(traceparent);
  if (tracer) request.trace = tracer.begin(parent, parent && tracestateOf(request));
  else if (parent) request.trace = new RequestTrace(parent, false);
  return request.trace;
}

/** Supervisors ask every few seconds, and nobody reads the traces. */
function isProbe({ url }: IncomingMessage): boolean {
  return url !== undefined && isHealthAddress(url);
}

/** Undefined if it is larger than the standard allows. Node joins several headers of this name by commas, as it wants it. */
function tracestateOf({ headers }: IncomingMessage): string | undefined {
  const { tracestate } = headers;
  if (typeof tracestate !== 'string' || tracestate.length > TRACESTATE_CHARACTERS_MAX) return undefined;
  return tracestate.split(',').length > TRACESTATE_MEMBERS_MAX ? undefined : tracestate;
}
