// Many sessions in one call, each item exactly once: POST /v1/batch.
//
// Each item has a key of its own, so whatever was lost is sent again as it was. Of one session, an item is applied only behind the
// one before it: where that has failed in passing, both are sent again, in their order.
import { type Result, decodeJson, expectX, isForJson, isShortArray, readFile, resultOf } from './computation.ts';
import { jsonText, parseJson, parseText } from './json.ts';
import { type Applied, CarryoverError, problemError, unreadable } from './problem.ts';
import { randomKey } from './random.ts';
import { isPassing } from './retry.ts';
import { writeTensorFile } from './safetensors.ts';
import type { SessionSequence } from './session-answers.ts';
import { Tensor, type TensorLike } from './tensor.ts';
import { type Answer, type Body, FILE_TYPE, JSON_TYPE, type Transport } from './transport.ts';
import type { Layout, Output, SessionMark } from './types.ts';

export interface BatchItem {
  /** The id of a session. */
  readonly session: string;
  /** (N, D) of a step, (T, N, D) of a sequence; (N) or (T, N) row numbers of an embedding. */
  readonly x: TensorLike;
  /** Under which it counts once, also in another batch; at most 64 of a session in one call. One is made if absent. */
  readonly key?: string | undefined;
  /** The ETag of the state that it is meant for; whatever state it is if absent. */
  readonly ifMatch?: string | undefined;
  /** Of a sequence: the steps of each row, 0 … T. */
  readonly lengths?: readonly number[] | undefined;
  readonly layout?: Layout | undefined;
  readonly outputs?: readonly Output[] | undefined;
  readonly trace?: boolean | undefined;
}

/** What became of an item: tensors and `session`, or `error`. */
export interface BatchResult extends Omit<SessionSequence, 'session'> {
  /** What the item would have been answered with by itself; undefined if it was not answered. */
  readonly status: number | undefined;
  readonly applied: Applied;
  /** Whether an earlier attempt, or an earlier call with its key, was applied. */
  readonly replayed: boolean;
  readonly session?: SessionMark;
  readonly error?: CarryoverError;
}

type KeyedItem = BatchItem & { readonly key: string };

/** Of one call. */
const ITEMS_MAX = 256;
const FIELDS: ReadonlySet<string> = new Set<keyof BatchItem>(['session', 'x', 'key', 'ifMatch', 'lengths', 'layout', 'outputs', 'trace']);
/** Keys that a session remembers. */
const ITEMS_OF_SESSION_MAX = 64;

/**
 * @returns a result for each item, in their order
 * @throws CarryoverError if no item was answered · RangeError · TypeError before anything is sent
 */
export async function sendBatch(transport: Transport, items: readonly BatchItem[], signal: AbortSignal | undefined): Promise<BatchResult[]> {
  expectItems(items);
  const keyed = items.map((item): KeyedItem => ({ ...item, key: item.key ?? randomKey() }));
  const results: BatchResult[] = [];
  for (const part of partsOf(keyed)) {
    const send = (some: readonly KeyedItem[]) => sendOnce(transport, some, signal);
    for (const result of await settle(part, send, transport, signal, results.length > 0)) results.push(result);
  }
  return results;
}

/** @throws TypeError · RangeError */
function expectItems(items: readonly BatchItem[]): void {
  if (!Array.isArray(items)) throw new TypeError('Expected an array of items, { session, x } each.');
  const ownKeys = new Map<string, number>();
  for (const [k, item] of (items as readonly BatchItem[]).entries()) {
    expectItem(item, `items[${k}]`);
    if (item.key === undefined) continue;
    const count = (ownKeys.get(item.session) ?? 0) + 1;
    ownKeys.set(item.session, count);
    if (count <= ITEMS_OF_SESSION_MAX) continue;
    throw new RangeError(
      `items[${k}].key is the ${count}th key of yours for session ${item.session}, which remembers ${ITEMS_OF_SESSION_MAX}: with more of them ` +
        'the first ones would count again if this call was repeated. Send the others in another call, or without keys.',
    );
  }
}

/** Of items whose types nobody has checked. @param place of the item, for the message @throws TypeError */
export function expectItem(item: BatchItem, place: string): void {
  if (typeof item !== 'object' || item === null) throw new TypeError(`Expected ${place} to be { session, x }.`);
  if (typeof item.session !== 'string') throw new TypeError(`Expected ${place}.session to be the id of a session, as session.id.`);
  expectX(item, `${place}.x`);
  const unknown = Object.keys(item).find((name) => !FIELDS.has(name));
  if (unknown !== undefined) throw new TypeError(`${place}.${unknown} is not a known field; expected ${[...FIELDS].join(', ')}.`);
  for (const name of ['key', 'ifMatch', 'layout'] as const) {
    if (!['undefined', 'string'].includes(typeof item[name])) throw new TypeError(`Expected ${place}.${name} to be a string.`);
  }
  for (const name of ['lengths', 'outputs'] as const) {
    if (item[name] !== undefined && !Array.isArray(item[name])) throw new TypeError(`Expected ${place}.${name} to be an array.`);
  }
}

/** As many items in each as a call may have. */
function partsOf(items: readonly KeyedItem[]): KeyedItem[][] {
  const parts: KeyedItem[][] = [];
  let counts = new Map<string, number>();
  for (const item of items) {
    const count = counts.get(item.session) ?? 0;
    const part = parts.at(-1);
    if (part && part.length < ITEMS_MAX && count < ITEMS_OF_SESSION_MAX) part.push(item);
    else {
      parts.push([item]);
      counts = new Map();
    }
    counts.set(item.session, (counts.get(item.session) ?? 0) + 1);
  }
  return parts;
}

/** Sends items until none has failed in a way that passes. @param hasResults whether an error is one of these items, and not of the call */
async function settle(
  items: readonly KeyedItem[],
  send: (items: readonly KeyedItem[]) => Promise<BatchResult[]>,
  transport: Transport,
  signal: AbortSignal | undefined,
  hasResults: boolean,
): Promise<BatchResult[]> {
  const results = new Map<KeyedItem, BatchResult>();
  const patience = transport.patience({ signal });
  let left = items;
  for (let attempts = 1; left.length > 0; attempts++) {
    const answered = await send(left).catch((error: unknown) => {
      if (!(error instanceof CarryoverError) || (attempts === 1 && !hasResults)) throw error;
      return left.map(() => failed(error, error.applied ?? 'no'));
    });
    const again = new Set<KeyedItem>();
    const isDone = new Map<string, boolean>();
    let passing: CarryoverError | undefined;
    for (const [k, item] of left.entries()) {
      const result = answered[k]!;
      results.set(item, result);
      const { error } = result;
      const isBehindFailed = isDone.get(item.session) === false && item.ifMatch === undefined && error?.code === 'step_conflict';
      isDone.set(item.session, error === undefined);
      if (isBehindFailed) again.add(item);
      else if (error && result.status !== undefined && isPassing(error, attempts)) {
        again.add(item);
        passing = (passing?.retryAfterMs ?? 0) > (error.retryAfterMs ?? 0) ? passing : error;
      }
    }
    left = [...again];
    if (passing && !(await isWorthWaiting(patience, passing))) break;
  }
  return items.map((item) => results.get(item)!);
}

/** @throws the reason of a signal that aborts */
async function isWorthWaiting(patience: ReturnType<Transport['patience']>, error: CarryoverError): Promise<boolean> {
  return patience.waitAfter(error).then(
    () => true,
    (thrown: unknown) => {
      if (thrown !== error) throw thrown;
      return false;
    },
  );
}

async function sendOnce(transport: Transport, items: readonly KeyedItem[], signal: AbortSignal | undefined): Promise<BatchResult[]> {
  const accept = items.some(isForJson) ? JSON_TYPE : FILE_TYPE;
  const body = encodeItems(items);
  const answer = await transport.send({ method: 'POST', path: 'v1/batch', body, accept: body.type === JSON_TYPE ? JSON_TYPE : accept, isChange: true, signal });
  const entries = entriesOf(answer);
  if (entries.length !== items.length) throw unreadable(`${entries.length} entries for ${items.length} items`);
  return entries.map(batchResult);
}

/** Of one session, each is meant for the state that the one before it has left. */
function encodeItems(items: readonly KeyedItem[]): Body {
  const seen = new Set<string>();
  const fields = items.map(({ session, key, ifMatch, lengths, layout, outputs, trace }) => {
    const isFirst = !seen.has(session);
    seen.add(session);
    return { session, key, if_match: ifMatch ?? (isFirst ? undefined : 'previous'), lengths, layout, outputs, trace };
  });
  if (items.every(({ x }) => isShortArray(x))) return { type: JSON_TYPE, data: jsonText({ items: items.map(({ x }, k) => ({ ...fields[k], x })) }) };
  const tensors = Object.fromEntries(items.map(({ x }, k) => [`${k}.x`, Tensor.from(x)]));
  return { type: FILE_TYPE, data: writeTensorFile(tensors, { items: JSON.stringify(fields) }) };
}

function entriesOf({ headers, bytes }: Answer): Result[] {
  if (headers.get('content-type')?.startsWith(FILE_TYPE) !== true) return itemsOf(parseJson(bytes)).map(decodeJson);
  const { tensors, metadata } = readFile(bytes);
  return itemsOf({ items: parseText(metadata['items'] ?? 'null') }).map((fields, k) => {
    const prefix = `${k}.`;
    const own = Object.entries(tensors).flatMap(([name, tensor]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), tensor] as const] : []));
    return resultOf(Object.fromEntries(own), fields as Record<string, unknown>);
  });
}

/** @throws CarryoverError unreadable_answer */
function itemsOf(value: unknown): readonly unknown[] {
  const { items } = (value ?? {}) as { readonly items?: unknown };
  if (!Array.isArray(items)) throw unreadable('the answer to a batch without items');
  return items;
}

function batchResult({ fields: { status, replayed, error }, ...tensors }: Result): BatchResult {
  if (error !== undefined) {
    const failure = problemError(error);
    return { ...failed(failure, failure.applied ?? 'no'), status: Number(status) };
  }
  if (!tensors.session) throw unreadable('the answer of a session that does not say where it is');
  return { ...tensors, status: Number(status), applied: 'yes', replayed: replayed === true };
}

export function failed(error: CarryoverError, applied: Applied): BatchResult {
  return { status: error.status, applied, replayed: false, error };
}
