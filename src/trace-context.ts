// The header `traceparent` of W3C Trace Context: which trace a request is part of, and which span has caused it.
//
//   00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
//   │  trace id                         │                └─ flags: bit 0 sampled, bit 1 the trace id is random
//   └─ version                          └─ id of the caller's span

export interface TraceContext {
  /** 32 hex digits. */
  readonly traceId: string;
  /** 16 hex digits. */
  readonly spanId: string;
  readonly flags: number;
}

export const SAMPLED = 1;
/** Level 2 of the standard: who has begun the trace has drawn its id at random. */
export const RANDOM = 2;

/** Later versions may append fields, after another dash. */
const TRACEPARENT = /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-|$)/;
const LENGTH = 55;
const NO_TRACE = '0'.repeat(32);
const NO_SPAN = '0'.repeat(16);

/**
 * Undefined if the header is not valid, or there are several, which Node joins by commas: the standard has the request
 * served as one without it.
 */
export function readTraceparent(header: string | string[] | undefined): TraceContext | undefined {
  if (typeof header !== 'string') return undefined;
  const found = TRACEPARENT.exec(header.length > LENGTH ? header.slice(0, LENGTH + 1) : header);
  if (!found) return undefined;
  const [, version, traceId, spanId, flags] = found;
  if (version === 'ff' || (version === '00' && header.length !== LENGTH)) return undefined;
  if (traceId === NO_TRACE || spanId === NO_SPAN) return undefined;
  return { traceId: traceId!, spanId: spanId!, flags: Number.parseInt(flags!, 16) & (SAMPLED | RANDOM) };
}

/** The header that names this span as the caller's. */
export function writeTraceparent({ traceId, spanId, flags }: TraceContext): string {
  return `00-${traceId}-${spanId}-0${flags}`;
}
