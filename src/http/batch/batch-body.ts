// The items of a batch, whatever its body is: JSON, a line of JSON for each, or a safetensors file.
import { type SafeTensor, type SafetensorsFile, readSafetensorsFile } from '../../codec/safetensors/read.ts';
import type { JsonCodec } from '../../engine/json-codec.ts';
import { type CarryoverError, invalidRequest } from '../../errors.ts';
import type { Lifetime } from '../../lifetime.ts';
import { DTYPES } from '../../tensor.ts';
import { toCarryoverError } from '../responses/problem.ts';
import { type SocketMessage, messageOf, openMessage } from '../sessions/socket-message.ts';
import { ITEMS_MAX } from './batch-schemas.ts';

/** An item that was read, or why it was not. */
export type BatchItem = SocketMessage | CarryoverError;

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
/** Empty ones between the items, and behind them, included. */
const LINES_MAX = 4 * ITEMS_MAX;

/** Of a JSON body; its tensors are the body's. */
export function itemsOfJson(items: readonly unknown[]): BatchItem[] {
  return items.map((item) => messageOf(item, () => undefined));
}

/**
 * Of lines, each a JSON document of its own; empty lines are passed over.
 *
 * @param onOpen is given each item, which holds memory
 * @throws invalid_request
 */
export async function itemsOfLines(
  jsonCodec: JsonCodec,
  body: Buffer,
  lifetime: Lifetime,
  onOpen: (item: SocketMessage) => void,
): Promise<BatchItem[]> {
  const lines = linesOf(body);
  if (lines.length === 0 || lines.length > ITEMS_MAX) throw wrongCount(lines.length, 'lines');
  const items: BatchItem[] = [];
  for (const line of lines) {
    try {
      const item = await openMessage(jsonCodec, line, false, lifetime);
      onOpen(item);
      items.push(item);
    } catch (error) {
      lifetime.throwIfOver();
      items.push(toCarryoverError(error as Error));
    }
  }
  return items;
}

/**
 * Of a safetensors file; its tensors are read in place.
 *
 * @throws malformed_safetensors · invalid_request
 */
export function itemsOfFile(body: Buffer, isBodyHeld: () => boolean): BatchItem[] {
  const { tensors, metadata } = readSafetensorsFile(body, isBodyHeld, DTYPES);
  const fields = fieldsOfItems(metadata);
  const tensorsOf = fields.map(() => new Map<string, SafeTensor>());
  for (const [name, tensor] of tensors) {
    const [, k, rest] = /^(0|[1-9]\d{0,2})\.(.+)$/.exec(name) ?? [];
    const own = k === undefined ? undefined : tensorsOf[Number(k)];
    if (!own) throw invalidRequest(`Expected tensors called 0.x … ${fields.length - 1}.x, got ${JSON.stringify(name.slice(0, 40))}.`);
    own.set(rest!, tensor);
  }
  return fields.map(({ id, key, if_match, ...rest }, k): SocketMessage => {
    const file: SafetensorsFile = { tensors: tensorsOf[k]!, metadata: textsOf(rest) };
    const rank = file.tensors.get('x')?.shape.length ?? 0;
    return { id, call: { id, key, if_match }, body: file, isFile: true, rank, [Symbol.dispose]: () => undefined };
  });
}

/** `items` in the metadata. @throws invalid_request */
function fieldsOfItems({ items: text, ...others }: Readonly<Record<string, string>>): Readonly<Record<string, unknown>>[] {
  const [other] = Object.keys(others);
  if (other !== undefined) throw invalidRequest(`Expected only items in the metadata, got ${JSON.stringify(other.slice(0, 40))}.`);
  let items: unknown;
  try {
    items = JSON.parse(text ?? '');
  } catch {
    throw invalidRequest('Expected items in the metadata to be a JSON array of objects.');
  }
  if (!Array.isArray(items) || items.some((item) => typeof item !== 'object' || item === null || Array.isArray(item))) {
    throw invalidRequest('Expected items in the metadata to be a JSON array of objects.');
  }
  if (items.length === 0 || items.length > ITEMS_MAX) throw wrongCount(items.length, 'items');
  return items as Record<string, unknown>[];
}

/** Fields as the metadata of a single call has them: as text. */
function textsOf(fields: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, typeof value === 'string' ? value : Array.isArray(value) ? value.join(',') : JSON.stringify(value)]),
  );
}

/** @throws invalid_request */
function linesOf(body: Buffer): Buffer[] {
  const lines: Buffer[] = [];
  let count = 0;
  for (let start = 0; start < body.length; ) {
    const found = body.indexOf(LINE_FEED, start);
    const end = found < 0 ? body.length : found;
    const line = body.subarray(start, body[end - 1] === CARRIAGE_RETURN ? end - 1 : end);
    if (line.length > 0) lines.push(line);
    if (++count > LINES_MAX) throw wrongCount(count, 'lines');
    start = end + 1;
  }
  return lines;
}

function wrongCount(count: number, what: string): CarryoverError {
  const found = count > ITEMS_MAX ? 'more. Send the others in another call.' : 'none.';
  return invalidRequest(`Expected 1 … ${ITEMS_MAX} ${what}, got ${found}`);
}
