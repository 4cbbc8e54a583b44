// JSON bodies in: bytes → values. JSON.parse decides the grammar; this file adds what it lets pass:
// bytes that are not UTF-8, and keys that appear twice (JSON.parse keeps the last, silently).
import { isUtf8 } from 'node:buffer';
import { CarryoverError } from '../errors.ts';
import { locateMalformed } from './json-locate.ts';
import { eachMember } from './members.ts';

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
  let missing = 0;
  eachKeyOfText(text, () => missing++);
  eachMember(value, () => void missing--);
  if (missing === 0) return;
  const key = overwrittenKey(text, value);
  throw new CarryoverError('duplicate_key', {
    detail: `The key ${JSON.stringify(key)} appears more than once in one object.`,
  });
}

/** The first key of the text that is not as often in the value. */
function overwrittenKey(text: string, value: unknown): string | undefined {
  const missing = new Map<string, number>();
  const count = (key: string, by: number) => missing.set(key, (missing.get(key) ?? 0) + by);
  eachKeyOfText(text, (start, end) => count(JSON.parse(text.slice(start, end)) as string, 1));
  eachMember(value, (key) => void count(key, -1));
  return [...missing].find(([, times]) => times !== 0)?.[0];
}

/** Finds the keys of valid JSON: each string, quotes included, that is followed by a colon. */
function eachKeyOfText(text: string, found: (start: number, end: number) => void): void {
  for (let open = text.indexOf('"'); open >= 0; ) {
    const close = endOfString(text, open);
    if (isBeforeColon(text, close + 1)) found(open, close + 1);
    open = text.indexOf('"', close + 1);
  }
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
