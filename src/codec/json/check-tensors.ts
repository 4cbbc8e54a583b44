// What is wrong with the tensors of a JSON text, as json-check.ts comes by them: a tensor is rectangular, of
// one or more axes, of numbers within float32. Behind the first fault nothing is a tensor any more, so the
// bounds end the reading of what is wrong.
import { CarryoverError, invalidRequest } from '../../errors.ts';
import { beyondFloat32, hasFloat32 } from '../float32.ts';
import { type JsonPath, cutText } from './path.ts';

export interface TensorRules {
  /** Keys behind which an array is a tensor. */
  readonly names: readonly string[];
  /** Axes. */
  readonly rankMax: number;
}

/** Numbers below this power of ten are within float32. */
const FLOAT32_POWER = 38;
/** A longer text is not made a value, to be quoted. */
const SCALAR_BYTES_MAX = 400;

export class TensorCheck {
  /** The first one. */
  fault: CarryoverError | undefined;
  /** Tensors so far. */
  count = 0;
  readonly #rules: TensorRules;
  readonly #bytes: Buffer;
  readonly #path: JsonPath;
  /** Depth of the outermost array of the tensor that is open; 0 if there is none. */
  #outermost = 0;
  #start = 0;
  /** Axes, known from the first number on. */
  #rank = 0;
  /** By axis: the size of its first array. */
  readonly #sizes: number[] = [];
  /** Of all tensors, without their first numbers. */
  #tensorBytes = 0;

  constructor(rules: TensorRules, bytes: Buffer, path: JsonPath) {
    this.#rules = rules;
    this.#bytes = bytes;
    this.#path = path;
  }

  get isOpen(): boolean {
    return this.#outermost > 0;
  }

  /** Containers of the tensor that is open. */
  get depth(): number {
    return this.isOpen ? this.#path.depth + 1 - this.#outermost : 0;
  }

  /** How many bytes of the text up to `at` are those of tensors. */
  bytesUpTo(at: number): number {
    return this.#tensorBytes + (this.isOpen ? at - this.#start : 0);
  }

  /** Before a container is opened at `at`. Returns whether it belongs to a tensor. */
  open(isArray: boolean, at: number): boolean {
    if (this.isOpen) {
      const isFine = isArray && this.depth < (this.#rank || this.#rules.rankMax);
      if (!isFine) this.#refuseElement(at, isArray ? 'an array' : 'an object');
      return isFine;
    }
    if (this.fault || !isArray || !this.#rules.names.includes(this.#path.key ?? '')) return false;
    this.count++;
    this.#outermost = this.#path.depth + 1;
    this.#start = at;
    this.#rank = 0;
    this.#sizes.length = 0;
    return true;
  }

  /** After a container of `count` elements was closed; `at` is behind it. */
  close(count: number, at: number): void {
    if (!this.isOpen) return;
    const axis = this.depth;
    const size = (this.#sizes[axis] ??= count);
    if (count === 0) this.#refuse(at, invalidRequest, 'must not be empty.');
    else if (count !== size) this.#refuse(at, ragged, `has ${count} elements; its first sibling has ${size}.`);
    else if (axis === 0) this.#end(at);
  }

  /** @param power of ten, greater than the number */
  number(start: number, end: number, power: number): void {
    if (this.#rank === 0) {
      this.#rank = this.depth;
      this.#tensorBytes -= end - start;
    }
    if (this.depth < this.#rank) return this.#refuseElement(end, this.#quote(start, end));
    if (power <= FLOAT32_POWER) return;
    const value = Number(this.#bytes.toString('latin1', start, end));
    if (!hasFloat32(value)) this.#refuse(end, (_, pointer) => beyondFloat32(pointer, value), '');
  }

  /** A string, true, false or null. */
  otherScalar(start: number, end: number): void {
    if (this.isOpen) this.#refuseElement(end, this.#quote(start, end));
  }

  /** The value that is being read cannot stand where it is. */
  #refuseElement(at: number, got: string): void {
    const axes = this.depth;
    const expected =
      this.#rank === 0 && axes < this.#rules.rankMax
        ? 'a number or an array of them'
        : axes < this.#rank
          ? 'an array'
          : 'a number';
    this.#refuse(at, invalidRequest, `must be ${expected}, got ${got}.`);
  }

  #refuse(
    at: number,
    errorOf: (message: string, pointer: string) => CarryoverError,
    what: string,
  ): void {
    const pointer = this.#path.pointer();
    this.fault = errorOf(`${pointer} ${what}`, pointer);
    this.#end(at);
  }

  #end(at: number): void {
    this.#tensorBytes += at - this.#start;
    this.#outermost = 0;
  }

  #quote(start: number, end: number): string {
    const text = this.#bytes.toString('utf8', start, Math.min(end, start + SCALAR_BYTES_MAX));
    const isWhole = end - start <= SCALAR_BYTES_MAX;
    return cutText(isWhole ? JSON.stringify(JSON.parse(text)) : text);
  }
}

function ragged(message: string, pointer: string): CarryoverError {
  return new CarryoverError('ragged_array', { detail: message, errors: [{ pointer, message }] });
}
