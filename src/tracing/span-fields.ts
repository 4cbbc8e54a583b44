// The numbers of the fields of spans (opentelemetry/proto/trace/v1/trace.proto), and their attributes.
import type { ProtobufWriter } from './protobuf-writer.ts';

/** Of a message ScopeSpans: its spans, one field each. */
export const SCOPE_SPANS = { SPAN: 2 } as const;
export const SPAN = {
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
export const LINK = { TRACE_ID: 1, SPAN_ID: 2, FLAGS: 6 } as const;
export const STATUS_CODE = 3;
export const STATUS_ERROR = 2;
const KEY = 1;
const VALUE = 2;
const STRING = 1;
const INTEGER = 3;

/** A message KeyValue. */
export function writeText(writer: ProtobufWriter, field: number, key: string, value: string): void {
  const attribute = writer.begin(field);
  writer.text(KEY, key);
  const inner = writer.begin(VALUE);
  writer.text(STRING, value);
  writer.end(inner);
  writer.end(attribute);
}

/** The same of a whole number. */
export function writeInteger(writer: ProtobufWriter, field: number, key: string, value: number): void {
  const attribute = writer.begin(field);
  writer.text(KEY, key);
  const inner = writer.begin(VALUE);
  writer.integer(INTEGER, value);
  writer.end(inner);
  writer.end(attribute);
}
