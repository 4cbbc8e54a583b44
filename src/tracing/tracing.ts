// Spans of requests, of the messages of WebSockets, and of transactions that commit changes of several requests. A request
// notes what it does (request-trace.ts); the spans are made when it has ended, and only if it is sampled.
//
// app.ts loads this folder only if OTEL_EXPORTER_OTLP_ENDPOINT is set: loading it takes a tenth of a second of the start.
import { type Attributes, SpanKind, createTraceState } from '@opentelemetry/api';
import { RandomIdGenerator } from '@opentelemetry/sdk-trace';
import type { EndedRequest } from '../http/request-end.ts';
import type { Tracer } from '../http/tracer.ts';
import type { RequestRecord } from '../request-record.ts';
import { RequestTrace, type TracedPart } from '../request-trace.ts';
import { sessionHash } from '../session-hash.ts';
import type { CommittedGroup } from '../store/store.ts';
import { RANDOM, SAMPLED, type TraceContext } from '../trace-context.ts';
import { epochOffsetMs } from './epoch.ts';
import type { SpanExport } from './export.ts';
import { FinishedSpan, type SpanFacts, spanContextOf } from './finished-span.ts';
import type { Sampling } from './sampling.ts';

/** What the span of a request or message says of it. */
type RequestFacts = Required<Pick<SpanFacts, 'name' | 'attributes' | 'isError'>>;

/** `sha256:` and the digits of a model's id that tell it from others. */
const MODEL_CHARACTERS = 'sha256:'.length + 12;
/** Those that the semantic conventions know; any other is `_OTHER`. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'];

export class Tracing implements Tracer {
  readonly #isSampled: Sampling;
  readonly #spans: SpanExport;
  readonly #ids = new RandomIdGenerator();

  constructor(isSampled: Sampling, spans: SpanExport) {
    this.#isSampled = isSampled;
    this.#spans = spans;
  }

  begin(parent: TraceContext | undefined, tracestate: string | undefined): RequestTrace {
    const traceId = parent?.traceId ?? this.#ids.generateTraceId();
    const isSampled = this.#isSampled(parent, traceId);
    const random = parent ? parent.flags & RANDOM : RANDOM;
    return new RequestTrace(this.#newContext(traceId, random, isSampled), isSampled, parent, tracestate);
  }

  beginMessage({ context, parts, tracestate }: RequestTrace): RequestTrace {
    const isSampled = parts !== undefined;
    const own = this.#newContext(context.traceId, context.flags & RANDOM, isSampled);
    return new RequestTrace(own, isSampled, context, tracestate);
  }

  readonly onRequestEnd = (ended: EndedRequest): void => {
    const { trace } = ended;
    if (trace?.parts) this.#addSpans(trace, trace.parts, true, requestFacts(ended));
  };

  readonly onMessageEnd = (record: RequestRecord): void => {
    const { trace, errorCode, sessionId } = record;
    if (!trace?.parts) return;
    const attributes: Attributes = {};
    addComputed(attributes, record);
    addCommon(attributes, errorCode, sessionId);
    this.#addSpans(trace, trace.parts, false, { name: 'message', attributes, isError: false });
  };

  /** A trace of its own, as it serves several: it links to the requests, and their commits to it. */
  readonly onCommitted = ({ startMs, endMs, calls, traces }: CommittedGroup): void => {
    const context = this.#newContext(this.#ids.generateTraceId(), RANDOM, true);
    const offsetMs = epochOffsetMs();
    this.#add({
      context: spanContextOf(context, false),
      name: 'group commit',
      startMs: offsetMs + startMs,
      endMs: offsetMs + endMs,
      attributes: { 'db.system.name': 'sqlite', 'db.operation.batch.size': calls },
      links: traces.map((trace) => ({ context: spanContextOf(trace.context, false) })),
    });
    for (const trace of traces) trace.linkTo(context);
  };

  /** Sends the spans that are not sent yet; see SpanExport.close. */
  close(): Promise<void> {
    return this.#spans.close();
  }

  #newContext(traceId: string, flags: number, isSampled: boolean): TraceContext {
    return { traceId, spanId: this.#ids.generateSpanId(), flags: isSampled ? flags | SAMPLED : flags };
  }

  #addSpans(trace: RequestTrace, parts: readonly TracedPart[], isRequest: boolean, facts: RequestFacts): void {
    const endMs = performance.now();
    const offsetMs = epochOffsetMs();
    const { parent, tracestate } = trace;
    const traceState = tracestate === undefined ? undefined : createTraceState(tracestate);
    const { traceId, flags } = trace.context;
    const context = spanContextOf(trace.context, false, traceState);
    if (trace.droppedParts > 0) facts.attributes['carryover.parts_without_span'] = trace.droppedParts;
    this.#add({
      name: facts.name,
      attributes: facts.attributes,
      isError: facts.isError,
      context,
      parent: parent && spanContextOf(parent, isRequest, traceState),
      kind: SpanKind.SERVER,
      startMs: offsetMs + trace.startMs,
      endMs: offsetMs + endMs,
    });
    // Most requests have no part within another.
    const contexts = parts.some(({ within }) => within) ? new Map<TracedPart, typeof context>() : undefined;
    for (const part of parts) {
      if (part.endMs === undefined) continue;
      const { name, link } = part;
      const own = spanContextOf({ traceId, spanId: this.#ids.generateSpanId(), flags }, false, traceState);
      contexts?.set(part, own);
      this.#add({
        name,
        context: own,
        parent: (contexts && parentOf(part, contexts)) ?? context,
        startMs: offsetMs + part.startMs,
        endMs: offsetMs + part.endMs,
        links: link && [{ context: spanContextOf(link, false) }],
      });
    }
  }

  #add(facts: SpanFacts): void {
    this.#spans.add(new FinishedSpan(this.#spans.source, facts));
  }
}

/** The span of the part during which one began; undefined if that is the request itself. */
function parentOf<Context>({ within }: TracedPart, contexts: ReadonlyMap<TracedPart, Context>): Context | undefined {
  if (!within) return undefined;
  return contexts.get(within) ?? parentOf(within, contexts);
}

/** By the semantic conventions, but for the address and the client: the address of a session is its key. */
function requestFacts(ended: EndedRequest): RequestFacts {
  const { method: sent = '', route, statusCode, unanswered, errorCode, record, sessionId, tenant } = ended;
  const method = METHODS.includes(sent) ? sent : '_OTHER';
  const attributes: Attributes = { 'http.request.method': method, 'url.scheme': 'http' };
  if (route !== undefined) {
    attributes['http.route'] = route;
    // A route without parameters is the address.
    if (!route.includes(':') && !route.includes('*')) attributes['url.path'] = route;
  }
  if (statusCode !== undefined) attributes['http.response.status_code'] = statusCode;
  if (tenant !== undefined) attributes['carryover.tenant'] = tenant;
  if (unanswered !== undefined) attributes['carryover.unanswered'] = unanswered;
  if (record) addComputed(attributes, record);
  addCommon(attributes, errorCode, sessionId);
  const name = `${method === '_OTHER' ? 'HTTP' : method}${route === undefined ? '' : ` ${route}`}`;
  return { name, attributes, isError: statusCode !== undefined && statusCode >= 500 };
}

/** Of a request that has computed something. */
function addComputed(attributes: Attributes, { N, T, modelId }: RequestRecord): void {
  if (modelId === undefined) return;
  attributes['carryover.N'] = N;
  attributes['carryover.T'] = T;
  attributes['carryover.model'] = modelId.slice(0, MODEL_CHARACTERS);
}

function addCommon(attributes: Attributes, errorCode: string | undefined, sessionId: string | undefined): void {
  if (errorCode !== undefined) attributes['error.type'] = errorCode;
  if (sessionId !== undefined) attributes['carryover.session'] = sessionHash(sessionId);
}
