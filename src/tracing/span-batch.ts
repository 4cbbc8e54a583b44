// Traces that have ended, as spans in the encoding of OTLP (opentelemetry/proto/trace/v1/trace.proto), to be sent to the
// thread that exports them. The spans are bytes as soon as the request has ended: as values, four of each request would
// live until the collector has them, through several garbage collections.
import { randomFillSync } from 'node:crypto';
import { createTraceState } from '@opentelemetry/api';
import type { EndedRequest } from '../http/request-end.ts';
import type { RequestRecord } from '../request-record.ts';
import { PARTS_MAX, type RequestTrace } from '../request-trace.ts';
import { sessionHash } from '../session-hash.ts';
import type { CommittedGroup } from '../store/store.ts';
import type { TraceContext } from '../trace-context.ts';
import { epochOffsetMs } from './epoch.ts';
import { ProtobufWriter } from './protobuf-writer.ts';

/** Of a message ScopeSpans: its spans, one field each. */
export const SCOPE_SPANS = { SPAN: 2 } as const;
const SPAN = {
  TRACE_ID: 1,
  SPAN_ID: 2,
  TRACE_STATE: 3,
  PARENT_SPAN_ID: 4,
  NAME: 5,
  KIND: 6,
  START: 7,
  END: 8,
  ATTRIBUTE: 9,
  LINK: 13,
  STATUS: 15,
  FLAGS: 16,
} as const;
const LINK = { TRACE_ID: 1, SPAN_ID: 2, FLAGS: 6 } as const;
const STATUS_CODE = 3;
const STATUS_ERROR = 2;
const KEY = 1;
const VALUE = 2;
const STRING = 1;
const INTEGER = 3;

const INTERNAL = 1;
const SERVER = 2;
/** Bits of `flags` above those of the trace: it is known whether the parent is of another process, and it is. */
const KNOWS_REMOTE = 0x100;
const IS_REMOTE = 0x200;

/** `sha256:` and the digits of a model's id that tell it from others. */
const MODEL_CHARACTERS = 'sha256:'.length + 12;
/** Those that the semantic conventions know; any other is `_OTHER`. */
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH']);

/** Drawn at once: each call takes longer than a number of it. */
const RANDOM_NUMBERS = 4_096;

/** Spans, and the fields of ScopeSpans that they are. */
export interface EncodedSpans {
  readonly count: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export class SpanBatch {
  readonly #writer = new ProtobufWriter();
  #count = 0;
  /** Asked for once for each trace. */
  #epochOffsetMs = 0;
  /** By part of a trace: the two halves of the id of its span. */
  readonly #partIds = new Uint32Array(2 * PARTS_MAX);
  readonly #randomNumbers = new Uint32Array(RANDOM_NUMBERS);
  #randomUsed = RANDOM_NUMBERS;

  get count(): number {
    return this.#count;
  }

  /** All spans so far; the batch is empty then. */
  take(): EncodedSpans {
    const encoded = { count: this.#count, bytes: this.#writer.take() };
    this.#count = 0;
    return encoded;
  }

  /** By the semantic conventions, but for the address and the client: the address of a session is its key. @param trace that is sampled, and ends now */
  addRequest(trace: RequestTrace, { method: sent = '', route, statusCode, unanswered, errorCode, record, sessionId, tenant }: EndedRequest): void {
    const method = METHODS.has(sent) ? sent : undefined;
    const name = `${method ?? 'HTTP'}${route === undefined ? '' : ` ${route}`}`;
    const span = this.#beginEnded(trace, name, true);
    this.#text('http.request.method', method ?? '_OTHER');
    this.#text('url.scheme', 'http');
    if (route !== undefined) {
      this.#text('http.route', route);
      // A route without parameters is the address.
      if (!route.includes(':') && !route.includes('*')) this.#text('url.path', route);
    }
    if (statusCode !== undefined) this.#integer('http.response.status_code', statusCode);
    if (unanswered !== undefined) this.#text('carryover.unanswered', unanswered);
    if (tenant !== undefined) this.#text('carryover.tenant', tenant);
    this.#commonAttributes(trace, record, errorCode, sessionId);
    if (statusCode !== undefined && statusCode >= 500) this.#error();
    this.#writer.end(span);
    this.#addParts(trace);
  }

  /** @param trace that is sampled, and ends now */
  addMessage(trace: RequestTrace, record: RequestRecord): void {
    const span = this.#beginEnded(trace, 'message', false);
    this.#commonAttributes(trace, record, record.errorCode, record.sessionId);
    this.#writer.end(span);
    this.#addParts(trace);
  }

  /** A trace of its own, as it serves several: it links to the requests, and their commits to it. */
  addGroupCommit(context: TraceContext, { startMs, endMs, calls, traces }: CommittedGroup): void {
    const writer = this.#writer;
    this.#epochOffsetMs = epochOffsetMs();
    const span = this.#begin('group commit', INTERNAL, context, startMs, endMs);
    writer.hex(SPAN.SPAN_ID, context.spanId);
    writer.fixed32(SPAN.FLAGS, context.flags | KNOWS_REMOTE);
    this.#text('db.system.name', 'sqlite');
    this.#integer('db.operation.batch.size', calls);
    for (const trace of traces) this.#link(trace.context);
    writer.end(span);
  }

  /** Begins the span of a request or of a message. */
  #beginEnded({ context, parent, tracestate, startMs }: RequestTrace, name: string, isRequest: boolean): number {
    const writer = this.#writer;
    this.#epochOffsetMs = epochOffsetMs();
    const span = this.#begin(name, SERVER, context, startMs, performance.now());
    writer.hex(SPAN.SPAN_ID, context.spanId);
    if (parent) writer.hex(SPAN.PARENT_SPAN_ID, parent.spanId);
    writer.fixed32(SPAN.FLAGS, context.flags | KNOWS_REMOTE | (isRequest && parent ? IS_REMOTE : 0));
    if (tracestate !== undefined) this.#traceState(tracestate);
    return span;
  }

  #commonAttributes({ droppedParts }: RequestTrace, record: RequestRecord | undefined, errorCode: string | undefined, sessionId: string | undefined): void {
    if (errorCode !== undefined) this.#text('error.type', errorCode);
    if (sessionId !== undefined) this.#text('carryover.session', sessionHash(sessionId));
    // Of a request that has computed something.
    if (record?.modelId !== undefined) {
      this.#integer('carryover.N', record.N);
      this.#integer('carryover.T', record.T);
      this.#text('carryover.model', record.modelId.slice(0, MODEL_CHARACTERS));
    }
    if (droppedParts > 0) this.#integer('carryover.parts_without_span', droppedParts);
  }

  /** 32 bits. */
  #random(): number {
    if (this.#randomUsed === RANDOM_NUMBERS) {
      randomFillSync(this.#randomNumbers);
      this.#randomUsed = 0;
    }
    return this.#randomNumbers[this.#randomUsed++]!;
  }

  /** A span for each part of the work that has ended, below that of the part during which it began, or of the request. */
  #addParts({ context, tracestate, parts = [] }: RequestTrace): void {
    const writer = this.#writer;
    const ids = this.#partIds;
    for (const [k, { name, startMs, endMs, within, link }] of parts.entries()) {
      // One that has not ended has no span: what began during it is below the span that it would be below.
      let parent = within && parts.indexOf(within);
      while (parent !== undefined && parts[parent]!.endMs === undefined) {
        const { within: above } = parts[parent]!;
        parent = above && parts.indexOf(above);
      }
      if (endMs === undefined) continue;
      // An id of zeros is none.
      ids[2 * k] = this.#random() || 1;
      ids[2 * k + 1] = this.#random();
      const span = this.#begin(name, INTERNAL, context, startMs, endMs);
      writer.eightBytes(SPAN.SPAN_ID, ids[2 * k]!, ids[2 * k + 1]!);
      if (parent === undefined) writer.hex(SPAN.PARENT_SPAN_ID, context.spanId);
      else writer.eightBytes(SPAN.PARENT_SPAN_ID, ids[2 * parent]!, ids[2 * parent + 1]!);
      writer.fixed32(SPAN.FLAGS, context.flags | KNOWS_REMOTE);
      if (tracestate !== undefined) this.#traceState(tracestate);
      if (link) this.#link(link);
      writer.end(span);
    }
  }

  #begin(name: string, kind: number, { traceId }: TraceContext, startMs: number, endMs: number): number {
    const writer = this.#writer;
    const offsetMs = this.#epochOffsetMs;
    this.#count++;
    const span = writer.begin(SCOPE_SPANS.SPAN);
    writer.hex(SPAN.TRACE_ID, traceId);
    writer.text(SPAN.NAME, name);
    writer.integer(SPAN.KIND, kind);
    writer.time(SPAN.START, startMs + offsetMs);
    writer.time(SPAN.END, endMs + offsetMs);
    return span;
  }

  #link({ traceId, spanId, flags }: TraceContext): void {
    const writer = this.#writer;
    const link = writer.begin(SPAN.LINK);
    writer.hex(LINK.TRACE_ID, traceId);
    writer.hex(LINK.SPAN_ID, spanId);
    writer.fixed32(LINK.FLAGS, flags | KNOWS_REMOTE);
    writer.end(link);
  }

  /** What is valid of it. */
  #traceState(tracestate: string): void {
    this.#writer.text(SPAN.TRACE_STATE, createTraceState(tracestate).serialize());
  }

  #error(): void {
    const status = this.#writer.begin(SPAN.STATUS);
    this.#writer.integer(STATUS_CODE, STATUS_ERROR);
    this.#writer.end(status);
  }

  #text(key: string, value: string): void {
    writeTextAttribute(this.#writer, SPAN.ATTRIBUTE, key, value);
  }

  #integer(key: string, value: number): void {
    const writer = this.#writer;
    const attribute = writer.begin(SPAN.ATTRIBUTE);
    writer.text(KEY, key);
    const inner = writer.begin(VALUE);
    writer.integer(INTEGER, value);
    writer.end(inner);
    writer.end(attribute);
  }
}

/** A message KeyValue. */
export function writeTextAttribute(writer: ProtobufWriter, field: number, key: string, value: string): void {
  const attribute = writer.begin(field);
  writer.text(KEY, key);
  const inner = writer.begin(VALUE);
  writer.text(STRING, value);
  writer.end(inner);
  writer.end(attribute);
}
