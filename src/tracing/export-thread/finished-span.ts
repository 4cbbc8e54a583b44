// A span that has ended, as the SDK's processors and exporters take it. It is made when all of it is known: a span of the
// SDK's Tracer, which may still change, takes 4 to 8 µs, and this one less than 1 µs.
import {
  type Attributes,
  type HrTime,
  type Link,
  type SpanContext,
  SpanKind,
  type SpanStatus,
  SpanStatusCode,
  type TraceState,
} from '@opentelemetry/api';
import type { ReadableSpan } from '@opentelemetry/sdk-trace';
import type { TraceContext } from '../../trace-context.ts';

/** Whom all spans of a process come from. */
export type SpanSource = Pick<ReadableSpan, 'resource' | 'instrumentationScope'>;

export interface SpanFacts {
  readonly context: SpanContext;
  readonly parent?: SpanContext | undefined;
  readonly name: string;
  /** INTERNAL if absent. */
  readonly kind?: SpanKind;
  /** Since 1970. */
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes?: Attributes;
  /** Whether the service has failed. */
  readonly isError?: boolean;
  readonly links?: Link[] | undefined;
}

const NO_ATTRIBUTES: Attributes = {};
const NO_LINKS: Link[] = [];
const NO_EVENTS: ReadableSpan['events'] = [];
const UNSET: SpanStatus = { code: SpanStatusCode.UNSET };
const ERROR: SpanStatus = { code: SpanStatusCode.ERROR };

export class FinishedSpan implements ReadableSpan {
  readonly name: string;
  readonly kind: SpanKind;
  readonly parentSpanContext?: SpanContext;
  readonly startTime: HrTime;
  readonly endTime: HrTime;
  readonly status: SpanStatus;
  readonly attributes: Attributes;
  readonly links: Link[];
  readonly #source: SpanSource;
  readonly #context: SpanContext;

  constructor(source: SpanSource, facts: SpanFacts) {
    this.#source = source;
    this.#context = facts.context;
    this.name = facts.name;
    this.kind = facts.kind ?? SpanKind.INTERNAL;
    if (facts.parent) this.parentSpanContext = facts.parent;
    this.startTime = hrTimeOf(facts.startMs);
    this.endTime = hrTimeOf(facts.endMs);
    this.status = facts.isError ? ERROR : UNSET;
    this.attributes = facts.attributes ?? NO_ATTRIBUTES;
    this.links = facts.links ?? NO_LINKS;
  }

  spanContext(): SpanContext {
    return this.#context;
  }

  get duration(): HrTime {
    const [startS, startNs] = this.startTime;
    const [endS, endNs] = this.endTime;
    const ns = endNs - startNs;
    return ns < 0 ? [endS - startS - 1, ns + 1e9] : [endS - startS, ns];
  }

  get resource(): SpanSource['resource'] {
    return this.#source.resource;
  }

  get instrumentationScope(): SpanSource['instrumentationScope'] {
    return this.#source.instrumentationScope;
  }

  get events(): ReadableSpan['events'] {
    return NO_EVENTS;
  }

  get ended(): boolean {
    return true;
  }

  get droppedAttributesCount(): number {
    return 0;
  }

  get droppedEventsCount(): number {
    return 0;
  }

  get droppedLinksCount(): number {
    return 0;
  }
}

/** A context in the form of the API. @param isRemote whether it is of another process */
export function spanContextOf(context: TraceContext, isRemote: boolean, traceState?: TraceState): SpanContext {
  const { traceId, spanId, flags } = context;
  const spanContext: SpanContext = { traceId, spanId, traceFlags: flags, isRemote };
  if (traceState) spanContext.traceState = traceState;
  return spanContext;
}

/** Seconds and nanoseconds. */
function hrTimeOf(ms: number): HrTime {
  const s = Math.floor(ms / 1_000);
  return [s, Math.min(999_999_999, Math.round((ms - s * 1_000) * 1e6))];
}
