// The encoding of a JSON document. It is UTF-8 (RFC 8259, section 8.1), which some writers begin with a byte
// order mark. UTF-16 and UTF-32 are refused by name, as their bytes would make a puzzling error otherwise.
import { CarryoverError } from '../../errors.ts';

const SPACE = 0x20;

/**
 * Overwrites a byte order mark with spaces, so that the positions of all other bytes stay the same.
 *
 * @throws malformed_json if the document is UTF-16 or UTF-32. Then its first two bytes are a byte order mark, or
 *   one of them is zero, as its first character is ASCII; a zero is no part of JSON in UTF-8
 */
export function stripByteOrderMark(document: Uint8Array): void {
  const [first, second, third] = document;
  if (first === 0xef && second === 0xbb && third === 0xbf) document.fill(SPACE, 0, 3);
  else if (first === 0 || second === 0 || isMark16(first, second)) {
    throw new CarryoverError('malformed_json', {
      detail:
        'The body is UTF-16 or UTF-32, expected UTF-8, which JSON between programs always is. ' +
        'Encode it as UTF-8, e.g. in PowerShell with -Encoding utf8.',
    });
  }
}

/** Whether they are U+FEFF in UTF-16, in either byte order. */
function isMark16(first: number | undefined, second: number | undefined): boolean {
  return (first === 0xff && second === 0xfe) || (first === 0xfe && second === 0xff);
}
