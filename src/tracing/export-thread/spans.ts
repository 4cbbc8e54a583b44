// Spans of requests, of the messages of WebSockets, and of transactions that commit changes of several requests.
import { type Attributes, type SpanContext, SpanKind, createTraceState } from '@opentelemetry/api';
import { RandomIdGenerator } from '@opentelemetry/sdk-trace';
import { sessionHash } from '../../session-hash.ts';
import { GROUP_COMMIT, type PackedTraces, REQUEST } from '../packed-traces.ts';
import { FinishedSpan, type SpanFacts, type SpanSource, spanContextOf } from './finished-span.ts';
import { TraceReader } from './trace-reader.ts';

/** What the span of a request or message says of it. */
type EndedFacts = Required<Pick<SpanFacts, 'name' | 'isError'>> & { readonly attributes: Attributes };

/** `sha256:` and the digits of a model's id that tell it from others. */
const MODEL_CHARACTERS = 'sha256:'.length + 12;
/** Those that the semantic conventions know; any other is `_OTHER`. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'];

const ids = new RandomIdGenerator();

export function spansOf(packed: PackedTraces, source: SpanSource): FinishedSpan[] {
  const reader = new TraceReader(packed);
  const facts: SpanFacts[] = [];
  while (!reader.isAtEnd) {
    const kind = reader.number();
    if (kind === GROUP_COMMIT) facts.push(readGroupCommit(reader));
    else if (kind === REQUEST) readEnded(reader, true, readRequest(reader), facts);
    else readEnded(reader, false, { name: 'message', attributes: {}, isError: false }, facts);
  }
  return facts.map((one) => new FinishedSpan(source, one));
}

/** A trace of its own, as it serves several: it links to the requests, and their commits to it. */
function readGroupCommit(reader: TraceReader): SpanFacts {
  const context = spanContextOf(reader.context(), false);
  const startMs = reader.time();
  const endMs = reader.time();
  const calls = reader.number();
  const links = Array.from({ length: reader.number() }, () => ({ context: spanContextOf(reader.context(), false) }));
  const attributes = { 'db.system.name': 'sqlite', 'db.operation.batch.size': calls };
  return { context, name: 'group commit', startMs, endMs, attributes, links };
}

/** By the semantic conventions, but for the address and the client: the address of a session is its key. */
function readRequest(reader: TraceReader): EndedFacts {
  const sent = reader.text();
  const method = METHODS.includes(sent) ? sent : '_OTHER';
  const attributes: Attributes = { 'http.request.method': method, 'url.scheme': 'http' };
  const route = reader.optionalText();
  if (route !== undefined) {
    attributes['http.route'] = route;
    // A route without parameters is the address.
    if (!route.includes(':') && !route.includes('*')) attributes['url.path'] = route;
  }
  const statusCode = reader.optionalNumber();
  if (statusCode !== undefined) attributes['http.response.status_code'] = statusCode;
  const unanswered = reader.optionalText();
  if (unanswered !== undefined) attributes['carryover.unanswered'] = unanswered;
  const tenant = reader.optionalText();
  if (tenant !== undefined) attributes['carryover.tenant'] = tenant;
  const name = `${method === '_OTHER' ? 'HTTP' : method}${route === undefined ? '' : ` ${route}`}`;
  return { name, attributes, isError: statusCode !== undefined && statusCode >= 500 };
}

/** Appends the spans of a request or message, and of its parts. */
function readEnded(reader: TraceReader, isRequest: boolean, ended: EndedFacts, facts: SpanFacts[]): void {
  const own = reader.context();
  const { traceId, flags } = own;
  const parentId = reader.optionalText();
  const tracestate = reader.optionalText();
  const traceState = tracestate === undefined ? undefined : createTraceState(tracestate);
  const context = spanContextOf(own, false, traceState);
  // The trace of a parent is that of its child.
  const parent = parentId === undefined ? undefined : spanContextOf({ traceId, spanId: parentId, flags }, isRequest, traceState);
  const startMs = reader.time();
  const endMs = reader.time();
  readAttributes(reader, ended.attributes);
  facts.push({ ...ended, context, parent, kind: SpanKind.SERVER, startMs, endMs });
  const contextOfPart = () => spanContextOf({ traceId, spanId: ids.generateSpanId(), flags }, false, traceState);
  readParts(reader, context, contextOfPart, facts);
}

function readAttributes(reader: TraceReader, attributes: Attributes): void {
  const errorCode = reader.optionalText();
  if (errorCode !== undefined) attributes['error.type'] = errorCode;
  const sessionId = reader.optionalText();
  if (sessionId !== undefined) attributes['carryover.session'] = sessionHash(sessionId);
  const modelId = reader.optionalText();
  const N = reader.number();
  const T = reader.number();
  // Of a request that has computed something.
  if (modelId !== undefined) {
    attributes['carryover.N'] = N;
    attributes['carryover.T'] = T;
    attributes['carryover.model'] = modelId.slice(0, MODEL_CHARACTERS);
  }
  const droppedParts = reader.number();
  if (droppedParts > 0) attributes['carryover.parts_without_span'] = droppedParts;
}

/** @param root the span of the request or message */
function readParts(reader: TraceReader, root: SpanContext, contextOfPart: () => SpanContext, facts: SpanFacts[]): void {
  /** By part: its own span, or that of the part during which it began if it has none, as it has not ended. */
  const contexts: SpanContext[] = [];
  for (let count = reader.number(); count > 0; count--) {
    const name = reader.text();
    const startMs = reader.time();
    const endMs = reader.optionalTime();
    const within = reader.optionalNumber();
    const links = reader.number() === 0 ? undefined : [{ context: spanContextOf(reader.context(), false) }];
    const parent = within === undefined ? root : contexts[within]!;
    const context = endMs === undefined ? parent : contextOfPart();
    contexts.push(context);
    if (endMs !== undefined) facts.push({ name, context, parent, startMs, endMs, links });
  }
}
