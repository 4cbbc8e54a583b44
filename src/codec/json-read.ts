// JSON bodies in: bytes → values. JSON.parse decides the grammar; this file adds what it lets pass:
// bytes that are not UTF-8, and keys that appear twice (JSON.parse keeps the last, silently).
import { isUtf8 } from 'node:buffer';
import { CarryoverError } from '../errors.ts';
import { locateMalformed } from './json-locate.ts';

/** @throws malformed_json · duplicate_key */
export function readJson(bytes: Buffer): unknown {
  if (!isUtf8(bytes)) {
    throw new CarryoverError('malformed_json', { detail: 'The body is not valid UTF-8.' });
  }
  const text = bytes.toString('utf8');
  const value = parse(text);
  refuseDuplicateKeys(text, value);
  return value;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw malformed(text, cause);
  }
}

function malformed(text: string, cause: unknown): CarryoverError {
  const found = locateMalformed(text);
  if (text === '' || !found) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const detail = text === '' ? 'The body is empty; expected a JSON object.' : `${reason}.`;
    return new CarryoverError('malformed_json', { detail, cause });
  }
  const { at, pointer, expected } = found;
  const byte = Buffer.byteLength(text.slice(0, at));
  const character = text.codePointAt(at);
  const got = character === undefined ? 'the end' : JSON.stringify(String.fromCodePoint(character));
  const place = pointer === '' ? '' : `, in ${pointer}`;
  const message = `Not JSON at byte ${byte}${place}: expected ${expected}, got ${got}.`;
  return new CarryoverError('malformed_json', {
    detail: message,
    errors: [{ pointer, message }],
    cause,
  });
}

/**
 * The text has as many keys as the parsed value, unless one was overwritten. Strings are found by
 * searching for quotes, so the numbers of a tensor are passed over at memory speed.
 */
function refuseDuplicateKeys(text: string, value: unknown): void {
  const seen = keysOfText(text);
  const kept = keysOfValue(value);
  for (const [key, count] of seen) {
    if (count === kept.get(key)) continue;
    throw new CarryoverError('duplicate_key', {
      detail: `The key ${JSON.stringify(key)} appears more than once in one object.`,
    });
  }
}

type KeyCounts = Map<string, number>;

/** Counts the keys of valid JSON: each string that is followed by a colon. */
function keysOfText(text: string): KeyCounts {
  const counts: KeyCounts = new Map();
  for (let open = text.indexOf('"'); open >= 0; ) {
    const close = endOfString(text, open);
    if (isBeforeColon(text, close + 1)) {
      count(counts, JSON.parse(text.slice(open, close + 1)));
    }
    open = text.indexOf('"', close + 1);
  }
  return counts;
}

/** Index of the quote that closes the string opened at `open`: the first not escaped. */
function endOfString(text: string, open: number): number {
  let close = text.indexOf('"', open + 1);
  for (;;) {
    let backslashes = 0;
    while (text[close - 1 - backslashes] === '\\') backslashes++;
    if (backslashes % 2 === 0) return close;
    close = text.indexOf('"', close + 1);
  }
}

function isBeforeColon(text: string, start: number): boolean {
  let at = start;
  while (' \t\n\r'.includes(text[at] ?? ',')) at++;
  return text[at] === ':';
}

/** Counts the keys of all objects within a value; a list of its own, so that depth costs no stack. */
function keysOfValue(value: unknown): KeyCounts {
  const counts: KeyCounts = new Map();
  const pending = [value];
  while (pending.length > 0) {
    const next = pending.pop();
    if (typeof next !== 'object' || next === null) continue;
    if (Array.isArray(next)) {
      // A tensor's rows hold numbers only; nothing in them can be an object.
      for (const item of next) if (typeof item === 'object') pending.push(item);
      continue;
    }
    for (const [key, item] of Object.entries(next)) {
      count(counts, key);
      pending.push(item);
    }
  }
  return counts;
}

function count(counts: KeyCounts, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
