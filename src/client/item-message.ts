// An item of a stream of many sessions as a message: a safetensors file.
import type { BatchItem } from './batch.ts';
import { encodeFile } from './computation.ts';
import type { Patience } from './retry.ts';
import type { Tensor } from './tensor.ts';
import type { SessionMark } from './types.ts';

/** An answer over a WebSocket has no trace. */
export type StreamItem = Omit<BatchItem, 'trace'>;

/** An item that is not answered. */
export interface Entry {
  /** Unique in the stream. */
  readonly id: string;
  /** The object of the caller. */
  readonly given: StreamItem;
  /** With x as a tensor and with a key. */
  readonly item: StreamItem & { readonly x: Tensor; readonly key: string };
  /** Made when it is the first of its session. */
  bytes: Uint8Array<ArrayBuffer> | undefined;
  wasSent: boolean;
  /** An attempt has perhaps been applied, and its answer was lost. */
  mayBeApplied: boolean;
  /** It has failed in passing, and is sent again after a while. */
  isResting: boolean;
  attempts: number;
  patience: Patience | undefined;
}

/** A file tells how many entries c has by those of h, so h is asked for, too. */
const lacksH = ({ item: { outputs } }: Entry) => outputs !== undefined && outputs.includes('c') && !outputs.includes('h');

/** @param etag of the state that it is meant for, unless the item names one @throws as encodeFile() */
export function encodeItem(entry: Entry, etag: string | undefined): Uint8Array<ArrayBuffer> {
  const { session, x, key, ifMatch = etag, lengths, layout, outputs } = entry.item;
  const wanted = lacksH(entry) ? ([...outputs!, 'h'] as const) : outputs;
  return encodeFile({ session, x, lengths, layout, outputs: wanted }, { id: entry.id, key, if_match: ifMatch });
}

/** The tensors that were asked for. */
export function withoutAdded<Tensors extends { readonly h?: unknown }>(entry: Entry, tensors: Tensors): Tensors | Omit<Tensors, 'h'> {
  if (!lacksH(entry)) return tensors;
  const { h: _, ...rest } = tensors;
  return rest;
}

/** What an answer says of a session has its ETag, too. */
export function markAndEtag(session: SessionMark | undefined): { readonly mark: SessionMark | undefined; readonly etag: string | undefined } {
  const { etag, ...mark } = (session ?? {}) as SessionMark & { readonly etag?: string };
  return { mark: session && mark, etag };
}
