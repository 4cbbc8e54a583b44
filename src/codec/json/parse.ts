// JSON bodies in: bytes → values. JSON.parse decides the grammar; this file adds what it lets pass:
// bytes that are not UTF-8, and keys that appear twice (JSON.parse keeps the last, silently).
import { isUtf8 } from 'node:buffer';
import { checkJson } from './check.ts';
import { visitMembers } from './visit-members.ts';

/** @throws malformed_json · duplicate_key */
export function parseJson(bytes: Buffer): unknown {
  if (!isUtf8(bytes)) throw faultOf(bytes);
  const text = bytes.toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw faultOf(bytes, cause);
  }
  if (hasDuplicateKeys(text, value)) throw faultOf(bytes);
  return value;
}

function faultOf(bytes: Buffer, cause?: unknown): unknown {
  try {
    checkJson(bytes);
  } catch (fault) {
    return fault;
  }
  return new Error('JSON.parse and checkJson do not agree about a text.', { cause });
}

/**
 * The text has as many keys as the parsed value, unless one was overwritten. Strings are found by
 * searching for quotes, so the numbers of a tensor are passed over at memory speed.
 */
function hasDuplicateKeys(text: string, value: unknown): boolean {
  return countKeysOfText(text) !== countMembers(value);
}

/** Of valid JSON: each string that is followed by a colon. */
function countKeysOfText(text: string): number {
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
