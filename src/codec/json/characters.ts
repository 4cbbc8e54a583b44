// The characters of JSON's grammar (RFC 8259) as bytes.

const TAB = 0x09;
const LINE_FEED = 0x0a;
const RETURN = 0x0d;
export const BLANK = 0x20;
export const QUOTE = 0x22;
export const COMMA = 0x2c;
export const PLUS = 0x2b;
export const MINUS = 0x2d;
export const POINT = 0x2e;
export const ZERO = 0x30;
const NINE = 0x39;
export const COLON = 0x3a;
export const BACKSLASH = 0x5c;
export const OPEN_ARRAY = 0x5b;
export const CLOSE_ARRAY = 0x5d;
export const OPEN_OBJECT = 0x7b;
export const CLOSE_OBJECT = 0x7d;
const SMALL_A = 0x61;
export const SMALL_E = 0x65;
const SMALL_F = 0x66;
export const SMALL_N = 0x6e;
export const SMALL_U = 0x75;

/** `undefined` is the end of the document. */
export function isDigit(character: number | undefined): boolean {
  return character !== undefined && character >= ZERO && character <= NINE;
}

export function isHex(character: number | undefined): boolean {
  if (isDigit(character)) return true;
  const letter = (character ?? 0) | 0x20;
  return letter >= SMALL_A && letter <= SMALL_F;
}

/** Whether a character is white space of JSON. */
export function isSpace(character: number | undefined): boolean {
  return (
    character === BLANK || character === LINE_FEED || character === RETURN || character === TAB
  );
}
