// Bytes of JSON → values, by JSON.parse. It decides the grammar; this file refuses two things that it accepts:
// bytes that are not UTF-8, and keys that appear twice in an object, of which it keeps the last one.
import { isUtf8 } from 'node:buffer';
import { checkJson } from './check.ts';
import { visitMembers } from './visit-members.ts';

/** Of JSON.parse: returns what takes the place of a value, whose JSON is `source` if it is a primitive one. */
export type Reviver = (key: string, value: unknown, context?: { readonly source?: string }) => unknown;

/**
 * The values of a JSON document. The errors say at which byte it is wrong, and in which value.
 *
 * @throws malformed_json · duplicate_key
 */
export function parseJson(bytes: Buffer, reviver?: Reviver): unknown {
  if (!isUtf8(bytes)) throw faultOf(bytes);
  const text = bytes.toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text, reviver);
  } catch (cause) {
    throw faultOf(bytes, cause);
  }
  if (hasDuplicateKeys(text, value)) throw faultOf(bytes);
  return value;
}

/** JSON.parse reports neither bytes nor paths: the document is checked again to find them. */
function faultOf(bytes: Buffer, cause?: unknown): unknown {
  try {
    checkJson(bytes);
  } catch (fault) {
    return fault;
  }
  return new Error('JSON.parse and checkJson disagree about a document.', { cause });
}

/** The text has as many keys as the objects made of it, unless one of them was overwritten. */
function hasDuplicateKeys(text: string, value: unknown): boolean {
  return countKeys(text) !== countMembers(value);
}

/**
 * Counts the strings followed by a colon in valid JSON. indexOf() finds their quotes, so the numbers of a
 * tensor are passed over at memory speed.
 */
function countKeys(text: string): number {
  let count = 0;
  for (let open = text.indexOf('"'); open >= 0; ) {
    const close = endOfString(text, open);
    if (isBeforeColon(text, close + 1)) count++;
    open = text.indexOf('"', close + 1);
  }
  return count;
}

function countMembers(value: unknown): number {
  let count = 0;
  visitMembers(value, () => {
    count++;
    return true;
  });
  return count;
}

/** The index of the quote that closes the string opened at `open`: the first one that is not escaped. */
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
