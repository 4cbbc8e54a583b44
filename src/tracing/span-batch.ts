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
import { ProtobufWriter, decodeHex } from './protobuf-writer.ts';
import { SharedFields } from './shared-fields.ts';
import { LINK, SCOPE_SPANS, SPAN, STATUS_CODE, STATUS_ERROR, writeInteger, writeText } from './span-fields.ts';

/** Bits of `flags` above those of the trace: it is known whether the parent is of another process, and it is. */
const KNOWS_REMOTE = 0x100;
const IS_REMOTE = 0x200;

/** `sha256:` and the digits of a model's id that tell it from others. */
const MODEL_CHARACTERS = 'sha256:'.length + 12;
/** Drawn at once: each call takes longer than a number of it. */
const RANDOM_NUMBERS = 4_096;

/** Spans, and the fields of ScopeSpans that they are. */
export interface EncodedSpans {
  readonly count: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export class SpanBatch {
  readonly #writer = new ProtobufWriter();
  readonly #shared = new SharedFields();
  /** Of the request whose spans are being written, and of its own span. */
  readonly #traceId = new Uint8Array(16);
  readonly #spanId = new Uint8Array(8);
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

  /** @param trace that is sampled, and ends now */
  addRequest(trace: RequestTrace, { method = '', route, statusCode, unanswered, errorCode, record, sessionId, tenant }: EndedRequest): void {
    const span = this.#beginEnded(trace, this.#shared.request(method, route, statusCode), true);
    if (unanswered !== undefined) this.#text('carryover.unanswered', unanswered);
    if (tenant !== undefined) this.#text('carryover.tenant', tenant);
    this.#commonAttributes(trace, record, errorCode, sessionId);
    if (statusCode !== undefined && statusCode >= 500) this.#error();
    this.#writer.end(span);
    this.#addParts(trace);
  }

  /** @param trace that is sampled, and ends now */
  addMessage(trace: RequestTrace, record: RequestRecord): void {
    const span = this.#beginEnded(trace, this.#shared.message(), false);
    this.#commonAttributes(trace, record, record.errorCode, record.sessionId);
    this.#writer.end(span);
    this.#addParts(trace);
  }

  /** A trace of its own, as it serves several: it links to the requests, and their commits to it. */
  addGroupCommit(context: TraceContext, { startMs, endMs, calls, traces }: CommittedGroup): void {
    const writer = this.#writer;
    this.#epochOffsetMs = epochOffsetMs();
    this.#decodeIds(context);
    const span = this.#begin(this.#shared.internal('group commit'), startMs, endMs);
    writer.message(SPAN.SPAN_ID, this.#spanId);
    writer.fixed32(SPAN.FLAGS, context.flags | KNOWS_REMOTE);
    this.#text('db.system.name', 'sqlite');
    this.#integer('db.operation.batch.size', calls);
    for (const trace of traces) this.#link(trace.context);
    writer.end(span);
  }

  /** Begins the span of a request or of a message. */
  #beginEnded({ context, parent, tracestate, startMs }: RequestTrace, shared: Uint8Array, isRequest: boolean): number {
    const writer = this.#writer;
    this.#epochOffsetMs = epochOffsetMs();
    this.#decodeIds(context);
    const span = this.#begin(shared, startMs, performance.now());
    writer.message(SPAN.SPAN_ID, this.#spanId);
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
      const span = this.#begin(this.#shared.internal(name), startMs, endMs);
      writer.eightBytes(SPAN.SPAN_ID, ids[2 * k]!, ids[2 * k + 1]!);
      if (parent === undefined) writer.message(SPAN.PARENT_SPAN_ID, this.#spanId);
      else writer.eightBytes(SPAN.PARENT_SPAN_ID, ids[2 * parent]!, ids[2 * parent + 1]!);
      writer.fixed32(SPAN.FLAGS, context.flags | KNOWS_REMOTE);
      if (tracestate !== undefined) this.#traceState(tracestate);
      if (link) this.#link(link);
      writer.end(span);
    }
  }

  /** Once for all spans of a request: each has them. */
  #decodeIds({ traceId, spanId }: TraceContext): void {
    decodeHex(traceId, this.#traceId);
    decodeHex(spanId, this.#spanId);
  }

  /** @param shared fields of SharedFields */
  #begin(shared: Uint8Array, startMs: number, endMs: number): number {
    const writer = this.#writer;
    const offsetMs = this.#epochOffsetMs;
    this.#count++;
    const span = writer.begin(SCOPE_SPANS.SPAN);
    writer.message(SPAN.TRACE_ID, this.#traceId);
    writer.time(SPAN.START, startMs + offsetMs);
    writer.time(SPAN.END, endMs + offsetMs);
    writer.fields(shared);
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
    writeText(this.#writer, SPAN.ATTRIBUTE, key, value);
  }

  #integer(key: string, value: number): void {
    writeInteger(this.#writer, SPAN.ATTRIBUTE, key, value);
  }
}
