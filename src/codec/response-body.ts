// An answer is some tensors by name; written as JSON or as a safetensors file they are the same.
import { type JsonSegment, SegmentWriter, type Tensors } from './json/segments.ts';
import { type Room, writeSafetensors, writeSafetensorsInSlices } from './safetensors/write.ts';

/** Copied in half a millisecond, if every number is a row. */
const AT_ONCE_NUMBERS_MAX = 8_192;

export interface Answer {
  /** What is no tensor: in JSON as it is, in a file as text in __metadata__ (JSON unless a string). */
  readonly fields?: Readonly<Record<string, unknown>> | undefined;
  readonly tensors: Tensors;
  /** In JSON an object of its own, in a file tensors named `trace/…`. */
  readonly trace?: Tensors | undefined;
}

/** The answer as JSON, cut where its tensors begin and end: engine/json-codec.ts prints them. */
export function toJsonSegments({ fields = {}, tensors, trace }: Answer): readonly JsonSegment[] {
  const writer = new SegmentWriter();
  writer.open();
  writer.tensors(tensors);
  if (trace) {
    writer.key('trace');
    writer.open();
    writer.tensors(trace);
    writer.close();
  }
  for (const [name, value] of presentOf(fields)) {
    writer.key(name);
    writer.text(JSON.stringify(value));
  }
  writer.close();
  return writer.pieces();
}

/**
 * A promise if it is long: its tensors have to stay until that has settled.
 *
 * @param room where the file is written to; by default a Buffer of its own
 */
export function toSafetensors(
  { fields, tensors, trace = {} }: Answer,
  room?: Room,
): Buffer | Promise<Buffer> {
  const traces = Object.entries(trace).map(([name, view]) => [`trace/${name}`, view]);
  const metadata =
    fields && Object.fromEntries(presentOf(fields).map(([name, value]) => [name, textOf(value)]));
  const all: Tensors = { ...tensors, ...Object.fromEntries(traces) };
  const write = numbersOf(all) > AT_ONCE_NUMBERS_MAX ? writeSafetensorsInSlices : writeSafetensors;
  return write(all, metadata, room);
}

function numbersOf(tensors: Tensors): number {
  let numbers = 0;
  for (const view of Object.values(tensors)) {
    if (view) numbers += view.shape.reduce((product, size) => product * size, 1);
  }
  return numbers;
}

function presentOf(fields: Readonly<Record<string, unknown>>): [string, unknown][] {
  return Object.entries(fields).filter(([, value]) => value !== undefined);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
