// JSON written straight into bytes, without a string for every number. V8 makes those strings where
// only a full collection finds them again: printing a long stream that way grows the heap by three
// times its text before one comes.
import type { TensorView } from '../tensor.ts';
import { POWERS_OF_TEN, decimalsOf, shortest } from './float32.ts';

/** The longest are -1.1754944e-38 and, in plain decimals, -0.0000012345678; and a comma. */
const NUMBER_BYTES_MAX = 24;
/** Where JavaScript changes to exponents below, and where a float32 has no decimals above. */
const PLAIN_MIN = 1e-6;
const PLAIN_END = 2 ** 23;

const COMMA = 0x2c;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const OPEN = 0x5b;
const CLOSE = 0x5d;

export class JsonBytes {
  #bytes: Buffer;
  #length = 0;

  /** @param bytes room to begin with; more is made when it is needed */
  constructor(bytes = 16 * 1024) {
    this.#bytes = Buffer.allocUnsafeSlow(bytes);
  }

  /** What was written so far; valid until more is written. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** Begins anew, in the same room: what `bytes` gave is overwritten. */
  reset(): void {
    this.#length = 0;
  }

  /** Text as it is, in ASCII. */
  text(text: string): void {
    this.#reserve(text.length);
    this.#append(text);
  }

  /** Nested arrays, the first axis outermost. Every element must be finite. */
  tensor(view: TensorView, axis = 0, start = 0): void {
    const size = view.shape[axis]!;
    const stride = view.strides[axis]!;
    if (axis + 1 === view.shape.length) return this.#row(view.data, start, size, stride);
    this.#mark(OPEN);
    for (let i = 0; i < size; i++) {
      if (i > 0) this.#mark(COMMA);
      this.tensor(view, axis + 1, start + i * stride);
    }
    this.#mark(CLOSE);
  }

  #row(data: Float32Array, start: number, size: number, stride: number): void {
    this.#reserve(2 + size * NUMBER_BYTES_MAX);
    this.#bytes[this.#length++] = OPEN;
    for (let i = 0; i < size; i++) {
      if (i > 0) this.#bytes[this.#length++] = COMMA;
      this.#number(data[start + i * stride]!);
    }
    this.#bytes[this.#length++] = CLOSE;
  }

  /** Room has been made. */
  #number(value: number): void {
    // Number's own printing drops the sign of zero, and with it the bits.
    if (value < 0 || Object.is(value, -0)) this.#bytes[this.#length++] = MINUS;
    const magnitude = Math.abs(value);
    if (magnitude >= PLAIN_MIN && magnitude < PLAIN_END) this.#decimal(magnitude);
    else this.#append(String(shortest(magnitude)));
  }

  #decimal(magnitude: number): void {
    const k = decimalsOf(magnitude)!;
    const power = POWERS_OF_TEN[k]!;
    // At most ten digits, so all of this is exact.
    const digits = Math.floor(magnitude * power + 0.5);
    const whole = Math.floor(digits / power);
    if (whole === 0) this.#bytes[this.#length++] = ZERO;
    else this.#digits(whole, Math.floor(Math.log10(whole)) + 1);
    if (k === 0) return;
    this.#bytes[this.#length++] = POINT;
    this.#digits(digits - whole * power, k);
  }

  /** An integer with zeros in front of it, `count` digits in all. */
  #digits(integer: number, count: number): void {
    const bytes = this.#bytes;
    let rest = integer;
    for (let at = this.#length + count - 1; at >= this.#length; at--) {
      const tenth = Math.floor(rest / 10);
      bytes[at] = ZERO + rest - 10 * tenth;
      rest = tenth;
    }
    this.#length += count;
  }

  #mark(mark: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = mark;
  }

  #append(text: string): void {
    const bytes = this.#bytes;
    let at = this.#length;
    for (let i = 0; i < text.length; i++) bytes[at++] = text.charCodeAt(i);
    this.#length = at;
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(2 * this.#bytes.length, this.#length + bytes));
    grown.set(this.bytes);
    this.#bytes = grown;
  }
}
