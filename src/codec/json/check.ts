// Finds out what is wrong with a JSON document, and where. It reads the whole grammar (RFC 8259) byte by byte and
// makes no values: JSON.parse reports neither bytes nor paths, and its values take ten times the memory of the
// document.
import { isUtf8 } from 'node:buffer';
import type { CarryoverError } from '../../errors.ts';
import { type JsonBounds, UNBOUNDED } from './bounds.ts';
import {
  BACKSLASH,
  BLANK,
  CLOSE_ARRAY,
  CLOSE_OBJECT,
  COLON,
  COMMA,
  MINUS,
  OPEN_ARRAY,
  OPEN_OBJECT,
  PLUS,
  POINT,
  QUOTE,
  SMALL_E,
  SMALL_U,
  ZERO,
  isDigit,
  isHex,
  isSpace,
} from './characters.ts';
import { boundExceeded, duplicateKey, malformed, notJson } from './errors.ts';
import { JsonPath } from './path.ts';
import { type TensorRules, TensorCheck } from './check-tensors.ts';

/** What may follow a backslash, apart from `u`. */
const ESCAPED = new Set(Buffer.from('"\\/bfnrt'));
const WORDS = ['true', 'false', 'null'];

export interface CheckOptions {
  /** If given, tensors are checked, too. */
  readonly tensors?: TensorRules;
  /** If given, checking stops at the first bound exceeded. */
  readonly bounds?: JsonBounds;
}

/**
 * Throws what is wrong with a document; returns if it is valid. Of several faults an error of the grammar takes
 * precedence, then a key that appears twice in an object, then the first fault of a tensor. If a bound is
 * exceeded, the error is what was found before, or else the bound.
 *
 * @throws malformed_json · duplicate_key · ragged_array · out_of_range · invalid_request, which is for bounds and
 *   for an element of a tensor that is neither a number nor an array
 */
export function checkJson(bytes: Buffer, options: CheckOptions = {}): void {
  if (bytes.length === 0) throw malformed('The body is empty; expected a JSON object.');
  if (!isUtf8(bytes)) throw malformed('The body is not valid UTF-8.');
  new Check(bytes, options).run();
}

class Check {
  readonly #bytes: Buffer;
  readonly #bounds: JsonBounds;
  readonly #path = new JsonPath();
  readonly #tensor: TensorCheck | undefined;
  #at = 0;
  /** Bytes of white space outside tensors. */
  #spaces = 0;
  #containers = 0;
  #keys = 0;
  #duplicate: CarryoverError | undefined;

  constructor(bytes: Buffer, { tensors, bounds }: CheckOptions) {
    this.#bytes = bytes;
    this.#bounds = bounds ?? UNBOUNDED;
    this.#tensor = tensors && new TensorCheck(tensors, bytes, this.#path);
  }

  run(): void {
    this.#value('a value');
    while (this.#path.depth > 0) this.#afterValue();
    this.#space();
    this.#boundBytes();
    if (this.#at < this.#bytes.length) this.#fail('the end of the body');
    const fault = this.#faultSoFar();
    if (fault) throw fault;
  }

  #faultSoFar(): CarryoverError | undefined {
    return this.#duplicate ?? this.#tensor?.fault;
  }

  /** Reads a scalar; or the openings of nested containers, up to the first scalar or empty container. */
  #value(expected: string): void {
    for (;;) {
      this.#space();
      const character = this.#bytes[this.#at];
      if (character !== OPEN_ARRAY && character !== OPEN_OBJECT) {
        return this.#scalar(character, expected);
      }
      const isArray = character === OPEN_ARRAY;
      this.#open(isArray);
      this.#space();
      const next = this.#bytes[this.#at];
      if (next === (isArray ? CLOSE_ARRAY : CLOSE_OBJECT)) return;
      this.#path.innermost.count = 1;
      expected = isArray ? 'a value or `]`' : 'a value';
      if (!isArray) this.#key('a key in double quotes or `}`');
    }
  }

  /** Reads a comma and the next value, or the end of the innermost container. */
  #afterValue(): void {
    this.#space();
    const container = this.#path.innermost;
    const { isArray } = container;
    const character = this.#bytes[this.#at];
    if (character === (isArray ? CLOSE_ARRAY : CLOSE_OBJECT)) return this.#close();
    if (character !== COMMA) this.#fail(isArray ? '`,` or `]`' : '`,` or `}`');
    this.#at++;
    container.count++;
    container.key = undefined;
    this.#boundBytes();
    if (!isArray) {
      this.#space();
      this.#key('a key in double quotes');
    }
    this.#value('a value');
  }

  #open(isArray: boolean): void {
    const { depthMax, containersMax, tensorsMax } = this.#bounds;
    const tensor = this.#tensor;
    if (tensor?.open(isArray, this.#at)) {
      if (tensor.count > tensorsMax) this.#stop(`${tensorsMax} tensors, one for each item of a batch`, 'The body');
    } else {
      if (this.#path.depth >= depthMax) this.#stop(`${depthMax} arrays and objects within each other`);
      if (++this.#containers > containersMax) this.#stop(`${containersMax} arrays and objects`);
    }
    this.#path.open(isArray);
    this.#at++;
  }

  #close(): void {
    const { count } = this.#path.innermost;
    this.#path.close();
    this.#at++;
    this.#tensor?.close(count, this.#at);
    this.#boundBytes();
  }

  #key(expected: string): void {
    if (this.#bytes[this.#at] !== QUOTE) this.#fail(expected);
    const start = this.#at;
    const hasEscape = this.#string();
    const { keysMax, bytesMax } = this.#bounds;
    if (++this.#keys > keysMax) this.#stop(`${keysMax} keys`);
    if (this.#at - start > bytesMax) this.#stop(`${bytesMax} bytes`);
    const key = hasEscape
      ? (JSON.parse(this.#bytes.toString('utf8', start, this.#at)) as string)
      : this.#bytes.toString('utf8', start + 1, this.#at - 1);
    const container = this.#path.innermost;
    container.key = key;
    container.keys ??= new Set();
    if (container.keys.has(key)) this.#duplicate ??= duplicateKey(key, this.#path.pointer());
    container.keys.add(key);
    this.#space();
    if (this.#bytes[this.#at] !== COLON) this.#fail('`:`');
    this.#at++;
  }

  #scalar(character: number | undefined, expected: string): void {
    const start = this.#at;
    if (character === MINUS || isDigit(character)) return this.#numbers();
    if (character === QUOTE) {
      this.#string();
    } else {
      const word = WORDS.find((one) => one.charCodeAt(0) === character);
      if (word === undefined) this.#fail(expected);
      for (let i = 0; i < word.length; i++, this.#at++) {
        if (this.#bytes[this.#at] !== word.charCodeAt(i)) this.#fail(`\`${word}\``);
      }
    }
    this.#tensor?.otherScalar(start, this.#at);
  }

  /** Reads a number and, in an array, all that follow it: numbers are most of a long document. */
  #numbers(): void {
    const bytes = this.#bytes;
    const tensor = this.#tensor;
    const row = this.#path.depth > 0 && this.#path.innermost.isArray ? this.#path.innermost : undefined;
    for (;;) {
      const start = this.#at;
      const magnitude = this.#number();
      tensor?.number(start, this.#at, magnitude);
      if (!row) return;
      this.#space();
      if (bytes[this.#at] !== COMMA) return;
      const next = this.#skipSpace(this.#at + 1);
      const character = bytes[next];
      if (character !== MINUS && !isDigit(character)) return;
      if (!tensor?.isOpen) this.#spaces += next - this.#at - 1;
      this.#at = next;
      row.count++;
    }
  }

  /** Returns an exponent p with the number below 10^p, whatever its digits are. */
  #number(): number {
    const bytes = this.#bytes;
    if (bytes[this.#at] === MINUS) this.#at++;
    const start = this.#at;
    if (bytes[start] === ZERO) this.#at++;
    else this.#digits();
    const whole = this.#at - start;
    if (bytes[this.#at] === POINT) {
      this.#at++;
      this.#digits();
    }
    if ((bytes[this.#at]! | 0x20) !== SMALL_E) return whole;
    this.#at++;
    const sign = bytes[this.#at];
    if (sign === PLUS || sign === MINUS) this.#at++;
    const digits = this.#at;
    this.#digits();
    if (sign === MINUS) return whole;
    let exponent = 0;
    for (let at = digits; at < this.#at; at++) exponent = exponent * 10 + (bytes[at]! - ZERO);
    return whole + exponent;
  }

  #digits(): void {
    const bytes = this.#bytes;
    let at = this.#at;
    while (isDigit(bytes[at])) at++;
    if (at === this.#at) this.#fail('a digit');
    this.#at = at;
  }

  /** Returns whether the string has an escape. */
  #string(): boolean {
    const bytes = this.#bytes;
    let hasEscape = false;
    for (this.#at++; ; this.#at++) {
      const character = bytes[this.#at];
      if (character === QUOTE) break;
      if (character === undefined) this.#fail('the end of the string');
      if (character < BLANK) this.#fail('no control character in a string');
      if (character !== BACKSLASH) continue;
      hasEscape = true;
      const escaped = bytes[++this.#at];
      if (escaped === SMALL_U) {
        for (let i = 0; i < 4; i++) if (!isHex(bytes[++this.#at])) this.#fail('a hexadecimal digit');
      } else if (escaped === undefined || !ESCAPED.has(escaped)) {
        this.#fail('an escape: one of `"`, `\\`, `/`, `b`, `f`, `n`, `r`, `t`, `u`');
      }
    }
    this.#at++;
    return hasEscape;
  }

  #space(): void {
    const start = this.#at;
    this.#at = this.#skipSpace(start);
    if (!this.#tensor?.isOpen) this.#spaces += this.#at - start;
  }

  #skipSpace(at: number): number {
    const bytes = this.#bytes;
    let end = at;
    while (isSpace(bytes[end])) end++;
    return end;
  }

  #boundBytes(): void {
    const { bytesMax } = this.#bounds;
    const inTensors = this.#tensor?.bytesUpTo(this.#at) ?? 0;
    if (this.#at - inTensors - this.#spaces > bytesMax) this.#stop(`${bytesMax} bytes`);
  }

  #stop(bound: string, where = 'Outside its tensors the body'): never {
    throw this.#faultSoFar() ?? boundExceeded(`${where} has more than ${bound}`, this.#at, this.#path.pointer());
  }

  #fail(expected: string): never {
    throw notJson(this.#bytes, this.#at, this.#path.pointer(), expected);
  }
}
