// Traces of requests, of the messages of WebSockets, and of transactions that commit changes of several requests. A request
// notes what it does (request-trace.ts); when it has ended, and if it is sampled, spans are made of it (span-batch.ts), which
// another thread exports.
//
// app.ts loads this folder only if OTEL_EXPORTER_OTLP_ENDPOINT is set: loading it takes a tenth of a second of the start.
import type { EndedRequest } from '../http/request-end.ts';
import type { Tracer } from '../http/tracer.ts';
import type { RequestRecord } from '../request-record.ts';
import { RequestTrace } from '../request-trace.ts';
import type { CommittedGroup } from '../store/store.ts';
import { RANDOM, SAMPLED, type TraceContext } from '../trace-context.ts';
import type { ExportClient } from './export-client.ts';
import { RandomIds } from './random-ids.ts';
import type { Sampling } from './sampling.ts';

export class Tracing implements Tracer {
  readonly #isSampled: Sampling;
  readonly #exporting: ExportClient;
  readonly #ids = new RandomIds();

  constructor(isSampled: Sampling, exporting: ExportClient) {
    this.#isSampled = isSampled;
    this.#exporting = exporting;
  }

  begin(parent: TraceContext | undefined, tracestate: string | undefined): RequestTrace {
    const traceId = parent?.traceId ?? this.#ids.traceId();
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
    if (trace?.parts) this.#exporting.add(1 + trace.parts.length, (batch) => batch.addRequest(trace, ended));
  };

  readonly onMessageEnd = (record: RequestRecord): void => {
    const { trace } = record;
    if (trace?.parts) this.#exporting.add(1 + trace.parts.length, (batch) => batch.addMessage(trace, record));
  };

  /** A trace of its own, as it serves several: it links to the requests, and their commits to it. */
  readonly onCommitted = (group: CommittedGroup): void => {
    const context = this.#newContext(this.#ids.traceId(), RANDOM, true);
    this.#exporting.add(1, (batch) => batch.addGroupCommit(context, group));
    for (const trace of group.traces) trace.linkTo(context);
  };

  /** Sends what is not sent yet; see ExportClient.close. */
  close(): Promise<void> {
    return this.#exporting.close();
  }

  #newContext(traceId: string, flags: number, isSampled: boolean): TraceContext {
    return { traceId, spanId: this.#ids.spanId(), flags: isSampled ? flags | SAMPLED : flags };
  }
}
