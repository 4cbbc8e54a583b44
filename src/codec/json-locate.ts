// Where a text stops being JSON, and within which value: for the error that JSON.parse has found, as
// its own message tells neither bytes nor the path. Reads the whole grammar (RFC 8259), without
// recursion, so that depth costs no stack.
import { escapePointer } from '../errors.ts';

export interface Malformed {
  /** Index of the first character that cannot stand where it is; the text's length if it ends early. */
  readonly at: number;
  /** JSON pointer of the innermost value that is being read: `/x/3/7`. */
  readonly pointer: string;
  /** What could have stood there. */
  readonly expected: string;
}

/** A pointer deeper than this is cut in its middle. */
const POINTER_STEPS_MAX = 16;

/** Undefined for a text that is JSON. */
export function locateMalformed(text: string): Malformed | undefined {
  return new Locator(text).run();
}

interface Container {
  readonly kind: 'array' | 'object';
  /** Elements read so far. */
  index: number;
  /** The key of the member being read. */
  key: string | undefined;
}

class Locator {
  readonly #text: string;
  readonly #open: Container[] = [];
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  run(): Malformed | undefined {
    let malformed = this.#value('a value');
    while (!malformed && this.#open.length > 0) malformed = this.#afterValue();
    if (malformed) return malformed;
    this.#space();
    return this.#at < this.#text.length ? this.#fail('the end of the body') : undefined;
  }

  /** A scalar, or the opening of a container and its first value, and so on inwards. */
  #value(expected: string): Malformed | undefined {
    for (;;) {
      this.#space();
      const character = this.#text[this.#at];
      if (character === '[') {
        this.#at++;
        this.#space();
        this.#open.push({ kind: 'array', index: 0, key: undefined });
        if (this.#text[this.#at] === ']') return undefined;
        expected = 'a value or `]`';
      } else if (character === '{') {
        this.#at++;
        this.#space();
        this.#open.push({ kind: 'object', index: 0, key: undefined });
        if (this.#text[this.#at] === '}') return undefined;
        const malformed = this.#key('a key in double quotes or `}`');
        if (malformed) return malformed;
        expected = 'a value';
      } else {
        return this.#scalar(character, expected);
      }
    }
  }

  /** A comma and the next value, or the end of the innermost container. */
  #afterValue(): Malformed | undefined {
    this.#space();
    const container = this.#open.at(-1)!;
    const isArray = container.kind === 'array';
    const end = isArray ? ']' : '}';
    const character = this.#text[this.#at];
    if (character === end) {
      this.#at++;
      this.#open.pop();
      return undefined;
    }
    if (character !== ',') return this.#fail(`\`,\` or \`${end}\``);
    this.#at++;
    container.index++;
    container.key = undefined;
    if (isArray) return this.#value('a value');
    this.#space();
    return this.#key('a key in double quotes') ?? this.#value('a value');
  }

  #key(expected: string): Malformed | undefined {
    if (this.#text[this.#at] !== '"') return this.#fail(expected);
    const start = this.#at;
    const malformed = this.#string();
    if (malformed) return malformed;
    this.#open.at(-1)!.key = JSON.parse(this.#text.slice(start, this.#at)) as string;
    this.#space();
    if (this.#text[this.#at] !== ':') return this.#fail('`:`');
    this.#at++;
    return undefined;
  }

  #scalar(character: string | undefined, expected: string): Malformed | undefined {
    if (character === '"') return this.#string();
    if (character === '-' || isDigit(character)) return this.#number();
    const word = ['true', 'false', 'null'].find((one) => one[0] === character);
    if (word === undefined) return this.#fail(expected);
    for (let i = 0; i < word.length; i++, this.#at++) {
      if (this.#text[this.#at] !== word[i]) return this.#fail(`\`${word}\``);
    }
    return undefined;
  }

  #number(): Malformed | undefined {
    if (this.#text[this.#at] === '-') this.#at++;
    if (this.#text[this.#at] === '0') this.#at++;
    else if (!this.#digits()) return this.#fail('a digit');
    if (this.#text[this.#at] === '.') {
      this.#at++;
      if (!this.#digits()) return this.#fail('a digit');
    }
    if (this.#text[this.#at] === 'e' || this.#text[this.#at] === 'E') {
      this.#at++;
      if (this.#text[this.#at] === '+' || this.#text[this.#at] === '-') this.#at++;
      if (!this.#digits()) return this.#fail('a digit');
    }
    return undefined;
  }

  #digits(): boolean {
    const start = this.#at;
    while (isDigit(this.#text[this.#at])) this.#at++;
    return this.#at > start;
  }

  #string(): Malformed | undefined {
    for (this.#at++; ; this.#at++) {
      const character = this.#text[this.#at];
      if (character === undefined) return this.#fail('the end of the string');
      if (character < ' ') return this.#fail('no control character in a string');
      if (character === '"') break;
      if (character !== '\\') continue;
      this.#at++;
      const escaped = this.#text[this.#at];
      if (escaped === 'u') {
        for (let i = 0; i < 4; i++) {
          this.#at++;
          const isDigit = /^[0-9a-fA-F]$/.test(this.#text[this.#at] ?? '');
          if (!isDigit) return this.#fail('a hexadecimal digit');
        }
      } else if (escaped === undefined || !'"\\/bfnrt'.includes(escaped)) {
        return this.#fail('an escape: one of `"`, `\\`, `/`, `b`, `f`, `n`, `r`, `t`, `u`');
      }
    }
    this.#at++;
    return undefined;
  }

  #space(): void {
    while (' \t\n\r'.includes(this.#text[this.#at] ?? '.')) this.#at++;
  }

  #fail(expected: string): Malformed {
    const steps = this.#open.filter(({ kind, key }) => kind === 'array' || key !== undefined);
    const shown = steps.map(({ kind, index, key }) =>
      kind === 'array' ? String(index) : escapeStep(key!),
    );
    const half = POINTER_STEPS_MAX / 2;
    if (shown.length > POINTER_STEPS_MAX) shown.splice(half, shown.length - POINTER_STEPS_MAX, '…');
    return { at: this.#at, pointer: shown.map((step) => `/${step}`).join(''), expected };
  }
}

function isDigit(character: string | undefined): boolean {
  return character !== undefined && character >= '0' && character <= '9';
}

/** Not longer than a word. */
function escapeStep(key: string): string {
  const step = escapePointer(key);
  return step.length > 40 ? `${step.slice(0, 40)}…` : step;
}
