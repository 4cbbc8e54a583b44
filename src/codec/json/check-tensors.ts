// Checks the tensors of a JSON document while check.ts reads it: a tensor is rectangular, of one or more axes, of
// numbers within float32; each element of a list of tensors (placeholders.ts) is one, or null. After the first fault no
// array is treated as a tensor, so the bounds of what is outside tensors limit how far a faulty document is read.
import { CarryoverError, invalidRequest } from '../../errors.ts';
import { beyondFloat32, hasFloat32 } from '../float32.ts';
import { OPEN_ARRAY, SMALL_N, isSpace } from './characters.ts';
import { type JsonPath, shorten } from './path.ts';

export interface TensorRules {
  /** The keys whose arrays are tensors. */
  readonly names: readonly string[];
  /** Those of them whose arrays may be lists of tensors. */
  readonly lists: readonly string[];
  /** The most axes of a tensor. */
  readonly rankMax: number;
}

/** Numbers below 10^38 are within float32. */
const FLOAT32_POWER = 38;
/** A longer scalar is quoted without being parsed. */
const SCALAR_BYTES_MAX = 400;

export class TensorCheck {
  /** The first fault of a tensor. */
  fault: CarryoverError | undefined;
  /** How many tensors have begun. */
  count = 0;
  readonly #rules: TensorRules;
  readonly #bytes: Buffer;
  readonly #path: JsonPath;
  /** The depth of the outermost array of the open tensor; 0 if none is open. */
  #outermost = 0;
  /** The depth within the open list of tensors; 0 if none is open. */
  #listDepth = 0;
  #start = 0;
  /** Axes of the open tensor; 0 before its first number. */
  #rank = 0;
  /** The length of the first array of each axis of the open tensor. */
  readonly #sizes: number[] = [];
  /** Bytes of the tensors that were closed, without the first number of each. */
  #tensorBytes = 0;

  constructor(rules: TensorRules, bytes: Buffer, path: JsonPath) {
    this.#rules = rules;
    this.#bytes = bytes;
    this.#path = path;
  }

  /** Whether the reader is within a tensor. */
  get isOpen(): boolean {
    return this.#outermost > 0;
  }

  /** How many arrays of the open tensor are open. */
  get depth(): number {
    return this.isOpen ? this.#path.depth + 1 - this.#outermost : 0;
  }

  /** How many of the bytes before `at` belong to tensors, without the first number of each. */
  bytesUpTo(at: number): number {
    return this.#tensorBytes + (this.isOpen ? at - this.#start : 0);
  }

  /** To be called before a container is opened at `at`. Returns whether it belongs to a tensor. */
  open(isArray: boolean, at: number): boolean {
    if (this.isOpen) {
      const isFine = isArray && this.depth < (this.#rank || this.#rules.rankMax);
      if (!isFine) this.#refuseElement(at, isArray ? 'an array' : 'an object');
      return isFine;
    }
    if (this.#isInList) {
      if (!isArray) {
        this.#refuseEntry(at, 'an object');
        return false;
      }
    } else {
      const key = this.#path.key ?? '';
      if (this.fault || !isArray || !this.#rules.names.includes(key)) return false;
      if (this.#rules.lists.includes(key) && this.#beginsList(at)) {
        this.#listDepth = this.#path.depth + 1;
        return false;
      }
    }
    this.count++;
    this.#outermost = this.#path.depth + 1;
    this.#start = at;
    this.#rank = 0;
    this.#sizes.length = 0;
    return true;
  }

  /** To be called after a container of `count` elements was closed; `at` is the position after it. */
  close(count: number, at: number): void {
    if (this.#path.depth < this.#listDepth) this.#listDepth = 0;
    if (!this.isOpen) return;
    const axis = this.depth;
    const size = (this.#sizes[axis] ??= count);
    if (count === 0) this.#refuse(at, invalidRequest, 'must not be empty.');
    else if (count !== size) this.#refuse(at, ragged, `has ${count} elements; its first sibling has ${size}.`);
    else if (axis === 0) this.#end(at);
  }

  /**
   * To be called after a number was read from `start` to `end`.
   *
   * @param power the number is below 10^power
   */
  number(start: number, end: number, power: number): void {
    if (!this.isOpen) {
      if (this.#isInList) this.#refuseEntry(end, this.#quote(start, end));
      return;
    }
    if (this.#rank === 0) {
      this.#rank = this.depth;
      this.#tensorBytes -= end - start;
    }
    if (this.depth < this.#rank) return this.#refuseElement(end, this.#quote(start, end));
    if (power <= FLOAT32_POWER) return;
    const value = Number(this.#bytes.toString('latin1', start, end));
    if (!hasFloat32(value)) this.#refuse(end, (_, pointer) => beyondFloat32(pointer, value), '');
  }

  /** To be called after a string, true, false or null was read. */
  otherScalar(start: number, end: number): void {
    if (this.isOpen) this.#refuseElement(end, this.#quote(start, end));
    else if (this.#isInList && this.#bytes[start] !== SMALL_N) this.#refuseEntry(end, this.#quote(start, end));
  }

  /** Whether the value being read is an entry of a list of tensors, or within one. */
  get #isInList(): boolean {
    return this.#listDepth > 0 && !this.fault;
  }

  /** Whether the array that opens at `at` begins with null or with an array of arrays. */
  #beginsList(at: number): boolean {
    const first = skipSpace(this.#bytes, at + 1);
    if (this.#bytes[first] === SMALL_N) return true;
    return this.#bytes[first] === OPEN_ARRAY && this.#bytes[skipSpace(this.#bytes, first + 1)] === OPEN_ARRAY;
  }

  /** Records that an entry of a list of tensors has the wrong type. */
  #refuseEntry(at: number, got: string): void {
    this.#start = at;
    this.#refuse(at, invalidRequest, `must be an array of arrays of numbers, or null, got ${got}.`);
  }

  /** Records that the value being read, which ends or begins at `at`, has the wrong type. */
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
    return shorten(isWhole ? JSON.stringify(JSON.parse(text)) : text);
  }
}

function ragged(message: string, pointer: string): CarryoverError {
  return new CarryoverError('ragged_array', { detail: message, errors: [{ pointer, message }] });
}

function skipSpace(bytes: Buffer, at: number): number {
  let end = at;
  while (isSpace(bytes[end])) end++;
  return end;
}
