// JSON is UTF-8 (RFC 8259, section 8.1). Some writers put a byte order mark before it, and some write
// UTF-16, which is not read but named.
import { CarryoverError } from '../../errors.ts';

const SPACE = 0x20;

/**
 * Writes spaces over a byte order mark, so that places in the text stay where they are.
 *
 * @throws malformed_json if the text is UTF-16 or UTF-32: a zero is no part of a JSON text, and its first
 *   character is ASCII, so of these one of the first two bytes is zero or they are a mark
 */
export function stripByteOrderMark(text: Uint8Array): void {
  const first = text[0];
  if (first === 0xef && text[1] === 0xbb && text[2] === 0xbf) text.fill(SPACE, 0, 3);
  else if (first === 0 || text[1] === 0 || isMark(first, text[1])) {
    throw new CarryoverError('malformed_json', {
      detail:
        'The body is UTF-16 or UTF-32 text, expected UTF-8: JSON between programs is always UTF-8. ' +
        'Encode it so, e.g. in PowerShell with -Encoding utf8.',
    });
  }
}

/** U+FEFF as UTF-16, in either order of bytes. */
function isMark(first: number | undefined, second: number | undefined): boolean {
  return (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
}
