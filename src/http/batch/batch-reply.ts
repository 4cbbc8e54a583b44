// The answer to a batch: entries in JSON, a line for each, or tensors in a safetensors file.
import { setImmediate as nextIteration } from 'node:timers/promises';
import { type ResponseBody, toJsonSegments, toSafetensors } from '../../codec/response-body.ts';
import type { Tensors } from '../../codec/json/segments.ts';
import { copiedTensors } from '../../codec/json/copied-tensors.ts';
import type { JsonCodec } from '../../engine/json-codec.ts';
import { JSON_TYPE, NDJSON_TYPE } from '../media-types.ts';
import type { EntryPrinter } from './item-calls.ts';

/** Copied in half a millisecond; an entry is rarely longer. */
const SLICE_BYTES = 512 * 1024;

/** Entries that are printed one by one, and put together in the end. */
export interface ReplyFormat<Entry> extends EntryPrinter<Entry> {
  readonly together: (entries: readonly Entry[]) => Buffer | Promise<Buffer>;
}

/** @param type JSON_TYPE or NDJSON_TYPE */
export function jsonReply(jsonCodec: JsonCodec, type: string): ReplyFormat<Buffer> {
  const [before, between, behind] = (type === JSON_TYPE ? ['{"items":[', ',', ']}'] : ['', '\n', '\n']).map((text) => Buffer.from(text));
  return {
    ofResult: (body, lifetime) => jsonCodec.stringifyToBuffer(toJsonSegments(body), lifetime),
    ofProblem: (fields) => Buffer.from(JSON.stringify(fields)),
    together: (entries) => joined([before!, ...entries.flatMap((entry, k) => (k === 0 ? [entry] : [between!, entry])), behind!]),
  };
}

interface FileEntry {
  readonly fields: Readonly<Record<string, unknown>>;
  readonly body: ResponseBody | undefined;
}

/** The tensors are copied: those of a result are gone when the file is written. */
export function fileReply(): ReplyFormat<FileEntry> {
  return {
    ofResult: ({ fields = {}, tensors, trace }) => ({
      fields,
      body: { tensors: copiedTensors(tensors), trace: trace && copiedTensors(trace) },
    }),
    ofProblem: (fields) => ({ fields, body: undefined }),
    together: (entries) => {
      const tensors: Record<string, Tensors> = {};
      for (const [k, { body }] of entries.entries()) {
        if (body) tensors[k] = { ...body.tensors, ...(body.trace && { trace: body.trace }) };
      }
      return toSafetensors({ fields: { items: entries.map(({ fields }) => fields) }, tensors });
    },
  };
}

export function isJsonReply(type: string): boolean {
  return type === JSON_TYPE || type === NDJSON_TYPE;
}

/** The parts in one buffer: copied between iterations of the event loop, as they may be tens of megabytes. */
function joined(parts: readonly Buffer[]): Buffer | Promise<Buffer> {
  const bytes = parts.reduce((sum, part) => sum + part.length, 0);
  return bytes <= SLICE_BYTES ? Buffer.concat(parts) : joinedInSlices(parts, bytes);
}

async function joinedInSlices(parts: readonly Buffer[], bytes: number): Promise<Buffer> {
  const whole = Buffer.allocUnsafe(bytes);
  let at = 0;
  let sliceEnd = SLICE_BYTES;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
    if (at < sliceEnd) continue;
    sliceEnd = at + SLICE_BYTES;
    await nextIteration();
  }
  return whole;
}
