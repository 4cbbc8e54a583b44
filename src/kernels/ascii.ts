// The characters of JSON.

export const QUOTE: u8 = 0x22;
export const PLUS: u8 = 0x2b;
export const COMMA: u8 = 0x2c;
export const MINUS: u8 = 0x2d;
export const POINT: u8 = 0x2e;
export const ZERO: u8 = 0x30;
export const COLON: u8 = 0x3a;
export const OPEN: u8 = 0x5b;
export const BACKSLASH: u8 = 0x5c;
export const CLOSE: u8 = 0x5d;
export const SMALL_A: u8 = 0x61;
export const SMALL_E: u8 = 0x65;
export const SMALL_L: u8 = 0x6c;
export const SMALL_N: u8 = 0x6e;
export const SMALL_U: u8 = 0x75;
export const OPEN_OBJECT: u8 = 0x7b;
export const CLOSE_OBJECT: u8 = 0x7d;

/** Bit n is set if n is white space in JSON: tab, line feed, carriage return, space. */
const SPACES: u64 = 0x100002600;

// @ts-ignore: decorator
@inline
export function isSpace(character: u8): bool {
  return character <= 0x20 && ((SPACES >> character) & 1) != 0;
}

/** Address of the first byte from `at` on that is no white space; the zeros after a document are none. */
export function skipSpace(at: usize): usize {
  let character = load<u8>(at);
  while (isSpace(character)) character = load<u8>(++at);
  return at;
}
