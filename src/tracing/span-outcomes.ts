// What becomes of spans, for those that count them.

/** The collector has it · the collector did not take it · it was not kept, as too many waited. */
export const SPAN_OUTCOMES = ['exported', 'failed', 'dropped'] as const;

export type SpanListener = (outcome: (typeof SPAN_OUTCOMES)[number], spans: number) => void;
