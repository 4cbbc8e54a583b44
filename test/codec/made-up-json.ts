// Generates JSON for the fuzzer: numbers close to where rounding goes wrong, bodies with them, and bodies damaged in
// some bytes.
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';

const bits = new DataView(new ArrayBuffer(8));

export class MadeUpJson {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = pseudoRandom(seed);
  }

  /** 0 … count - 1 */
  below(count: number): number {
    return Math.floor(((this.#random() + 1) / 2) * count);
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)]!;
  }

  chance(oneIn: number): boolean {
    return this.below(oneIn) === 0;
  }

  /** A decimal; with `strange`, perhaps one that is not JSON or not within float32. */
  number(strange: boolean): string {
    if (strange && this.chance(200)) return this.pick(WRONG_NUMBERS);
    const sign = this.chance(2) ? '-' : '';
    return sign + this.#magnitude(strange);
  }

  #magnitude(strange: boolean): string {
    switch (this.below(strange ? 11 : 8)) {
      case 0:
        return String(this.below(1_000));
      case 1:
        return `0.${this.#digits(1 + this.below(9))}`;
      case 2:
        return String(Math.abs(this.#random()));
      case 3:
        return String(this.#float32());
      case 4:
        return `${this.below(100_000)}.${this.#digits(1 + this.below(20))}`;
      case 5:
        return this.#nearHalfway();
      case 6:
        return `${this.below(10)}.${this.#digits(1 + this.below(30))}${this.#exponent(37)}`;
      case 7:
        return this.pick(EDGES);
      case 8:
        return `${this.below(10)}${this.#exponent(this.pick([60, 400, 99_999_999_999]))}`;
      case 9:
        return this.#long();
      default:
        return this.pick(['3.4028235e38', '3.4028235677973366e38', '3.4028235677973362e38', '1e39']);
    }
  }

  #digits(count: number): string {
    return Array.from({ length: count }, () => this.below(10)).join('');
  }

  #exponent(max: number): string {
    const sign = this.pick(['', '+', '-']);
    return this.pick(['e', 'E']) + sign + this.pick(['', '0', '00']) + String(this.below(max));
  }

  /** Hundreds of digits, with an exponent that may bring the number back into range. */
  #long(): string {
    const count = 20 + this.below(400);
    if (this.chance(2)) return `0.${'0'.repeat(count)}${this.#digits(12)}e${count}`;
    return `${1 + this.below(9)}${this.#digits(count)}e-${count + this.below(30)}`;
  }

  /** Any finite float32, subnormals included. */
  #float32(): number {
    bits.setUint32(0, this.below(0x7f80_0000));
    return bits.getFloat32(0);
  }

  /** The middle of two float32, or of two float64 beside it, exactly, or off in its last digits. */
  #nearHalfway(): string {
    bits.setUint32(0, this.chance(4) ? this.below(0x80_0000) : this.below(0x7f7f_ffff));
    const low = bits.getFloat32(0);
    bits.setUint32(0, bits.getUint32(0) + 1);
    bits.setFloat64(0, (low + bits.getFloat32(0)) / 2);
    bits.setBigUint64(0, bits.getBigUint64(0) + BigInt(this.below(5) - 2));
    const near = bits.getFloat64(0);
    bits.setBigUint64(0, bits.getBigUint64(0) + 1n);
    const exact = this.chance(2) ? exactMiddle(near, near) : exactMiddle(near, bits.getFloat64(0));
    const digits = this.pick([exact.digits, exact.digits + 1n, exact.digits - 1n]);
    const padded = digits.toString() + this.pick(['', '0', '00000000000000000001', '9']);
    const added = padded.length - digits.toString().length;
    return `${padded}e${exact.exponent - added}`;
  }

  space(): string {
    return this.chance(4) ? this.pick([' ', '\n', '\t', '\r\n', '  ', '\n    ']) : '';
  }

  tensor(rank: number, strange: boolean): string {
    const sizes = Array.from({ length: rank }, () => 1 + this.below(4));
    const ragged = strange && this.chance(30);
    const wrong = strange && this.chance(30);
    const axis = (level: number): string => {
      if (level === rank) {
        return wrong && this.chance(4) ? this.pick(WRONG_ELEMENTS) : this.number(strange);
      }
      const size = Math.max(0, sizes[level]! + (ragged && this.chance(3) ? this.below(3) - 1 : 0));
      const items = Array.from({ length: size }, () => this.space() + axis(level + 1) + this.space());
      return `[${items.join(',')}]`;
    };
    return axis(0);
  }

  /** A list of matrices of any sizes and nulls; with `strange`, perhaps with something else among them. */
  #list(strange: boolean): string {
    const entry = () => {
      if (strange && this.chance(15)) return this.pick([...WRONG_ELEMENTS, '{"h":[null,[[1]]]}', 'nul', '[[[1]]]', '[1,2]']);
      return this.chance(3) ? 'null' : this.tensor(2, strange);
    };
    const entries = Array.from({ length: 1 + this.below(4) }, () => this.space() + entry() + this.space());
    return `[${entries.join(',')}]`;
  }

  /** Some JSON that is no tensor. */
  #value(depth: number): string {
    switch (this.below(depth > 2 ? 5 : 7)) {
      case 0:
        return this.pick(['true', 'false', 'null']);
      case 1:
        return this.number(false);
      case 2:
        return JSON.stringify(this.pick(STRINGS));
      case 3:
        return `[${this.number(false)}]`;
      case 4:
        return this.tensor(1 + this.below(4), false);
      case 5:
        return `[${this.#value(depth + 1)},${this.#value(depth + 1)}]`;
      default:
        return this.object(depth + 1, false);
    }
  }

  object(depth: number, strange: boolean): string {
    const names = [...TENSORS, ...OTHERS].toSorted(() => this.#random()).slice(0, this.below(6));
    if (strange && this.chance(50) && names[0] !== undefined) names.push(names[0]);
    const members = names.map((name) => {
      const escaped = strange && this.chance(50);
      const first = name.charCodeAt(0).toString(16).padStart(4, '0');
      const key = escaped && name !== '' ? `"\\u${first}${name.slice(1)}"` : JSON.stringify(name);
      const isTensor = TENSORS.includes(name) && !this.chance(20);
      const isList = isTensor && LISTS.includes(name) && !this.chance(3);
      const value = isList
        ? this.#list(strange)
        : isTensor
          ? this.tensor(1 + this.below(3), strange)
          : this.#value(depth + 1);
      return `${this.space()}${key}${this.space()}:${this.space()}${value}${this.space()}`;
    });
    return `{${members.join(',')}}`;
  }

  body(): Buffer {
    const text = Buffer.from(this.space() + this.object(0, this.chance(2)) + this.space());
    return this.chance(4) ? this.#damaged(text) : text;
  }

  #damaged(text: Buffer): Buffer {
    const at = this.below(text.length + 1);
    switch (this.below(5)) {
      case 0:
        return text.subarray(0, at);
      case 1: {
        const flipped = Buffer.from(text);
        flipped[at] = (flipped[at] ?? 0) ^ (1 << this.below(8));
        return flipped;
      }
      case 2:
        return Buffer.concat([text.subarray(0, at), text.subarray(at + 1 + this.below(3))]);
      case 3:
        return Buffer.concat([
          text.subarray(0, at),
          Buffer.from(this.pick(INSERTED)),
          text.subarray(at),
        ]);
      default: {
        const other = this.below(text.length + 1);
        const [first, last] = [Math.min(at, other), Math.max(at, other)];
        return Buffer.concat([text.subarray(0, last), text.subarray(first)]);
      }
    }
  }
}

const LISTS = ['h', 'c'];
const TENSORS = [...LISTS, 'x', 'W_x', 'W_h', 'b', 'b_h', 'W_y', 'b_y', 'E', 'scale', 'offset', 'W'];
const OTHERS = ['weights', 'model', 'lengths', 'xx', '', 'a"b', 'W_', 'ж', '__proto__', '5'];
const STRINGS = ['', 'x', '"x":[1]', '\\', 'ж\u0000\u2028', '[[1]]', 'a\\"', '"', 'h":'];
const EDGES = '0 0.0 0e0 0E+5 1 1.0 0.1 1e-45 7e-46 8e-46 7.038531e-26 0.5'.split(' ');
const WRONG_NUMBERS = '01 1. .5 +1 1e 1e+ - --1 0x1 1_0 NaN Infinity 1e5.5 00 -01'.split(' ');
const WRONG_ELEMENTS = ['null', '"1"', 'true', '[]', '[1]', '{}', '', '1 2'];
const INSERTED = [' ', '\u0000', ...'" , : [ ] { } \\ 1 - . e null [[1]] "x":'.split(' ')];

/** (a + b) / 2 as digits 10^exponent, without any rounding. */
function exactMiddle(a: number, b: number): { digits: bigint; exponent: number } {
  // All of these are multiples of 2^-1074; the middle of two, of 2^-1075.
  const sum = scaled(a) + scaled(b);
  if (sum === 0n) return { digits: 0n, exponent: 0 };
  const zeros = (sum & -sum).toString(2).length - 1;
  const power = 1075 - zeros;
  const odd = sum >> BigInt(zeros);
  if (power <= 0) return { digits: odd << BigInt(-power), exponent: 0 };
  return { digits: odd * 5n ** BigInt(power), exponent: -power };
}

/** A float64 as a multiple of 2^-1074. */
function scaled(value: number): bigint {
  bits.setFloat64(0, value);
  const word = bits.getBigUint64(0);
  const exponent = (word >> 52n) & 0x7ffn;
  const fraction = word & 0xf_ffff_ffff_ffffn;
  return exponent === 0n ? fraction : (fraction | (1n << 52n)) << (exponent - 1n);
}
