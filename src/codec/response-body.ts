// The body of a response: tensors by name, and other fields. It is written as JSON or as a safetensors file, with
// the same content.
import type { TensorView } from '../tensor.ts';
import { UNSLICED_NUMBERS_MAX } from './copy-tensors.ts';
import { type JsonSegment, SegmentWriter, type TensorTree, type Tensors, isTensor } from './json/segments.ts';
import { type AllocateFile, writeSafetensors, writeSafetensorsInSlices } from './safetensors/write.ts';

export interface ResponseBody {
  /** All that is no tensor: members in JSON, strings in the `__metadata__` of a file (as JSON, unless strings). */
  readonly fields?: Readonly<Record<string, unknown>> | undefined;
  readonly tensors: Tensors;
  /** The member `trace` in JSON, tensors named `trace/…` in a file. In a file, names of list entries are like `h.0`. */
  readonly trace?: Tensors | undefined;
}

/** The body as JSON whose tensors are still to be printed (engine/json-codec.ts). */
export function toJsonSegments({ fields = {}, tensors, trace }: ResponseBody): readonly JsonSegment[] {
  const writer = new SegmentWriter();
  writer.open();
  writer.tensors(tensors);
  if (trace) {
    writer.key('trace');
    writer.open();
    writer.tensors(trace);
    writer.close();
  }
  for (const name of Object.keys(fields)) {
    const value = fields[name];
    if (value === undefined) continue;
    writer.key(name);
    writer.text(JSON.stringify(value));
  }
  writer.close();
  return writer.segments();
}

/**
 * The body as a safetensors file. If this returns a promise, the tensors have to stay until it has settled.
 *
 * @param allocate provides the memory of the file; by default it is a new Buffer
 */
export function toSafetensors(
  { fields, tensors, trace }: ResponseBody,
  allocate?: AllocateFile,
): Buffer | Promise<Buffer> {
  const metadata =
    fields && Object.fromEntries(presentOf(fields).map(([name, value]) => [name, textOf(value)]));
  const all: Record<string, TensorView> = {};
  collectTensors(tensors, '', all);
  if (trace) collectTensors(trace, 'trace/', all);
  const write = numbersOf(all) > UNSLICED_NUMBERS_MAX ? writeSafetensorsInSlices : writeSafetensors;
  return write(all, metadata, allocate);
}

/** How many numbers its tensors have. */
export function numbersOfBody({ tensors, trace }: ResponseBody): number {
  const all: Record<string, TensorView> = {};
  collectTensors(tensors, '', all);
  if (trace) collectTensors(trace, 'trace/', all);
  return numbersOf(all);
}

/** Adds the tensors of a tree to `all`, under their paths in it; what is no tensor is left out. */
function collectTensors(tree: readonly TensorTree[] | Tensors, prefix: string, all: Record<string, TensorView>): void {
  for (const name of Object.keys(tree)) {
    const member = (tree as Tensors)[name];
    if (typeof member !== 'object' || member === null) continue;
    if (isTensor(member)) all[prefix + name] = member;
    else collectTensors(member, `${prefix}${name}.`, all);
  }
}

function numbersOf(tensors: Readonly<Record<string, TensorView>>): number {
  let numbers = 0;
  for (const { shape } of Object.values(tensors)) numbers += shape.reduce((product, size) => product * size, 1);
  return numbers;
}

function presentOf(fields: Readonly<Record<string, unknown>>): [string, unknown][] {
  return Object.entries(fields).filter(([, value]) => value !== undefined);
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
