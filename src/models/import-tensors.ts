// The tensors of a file that have no part yet: each is taken once, and none may be left.
import { quote } from '../codec/safetensors/quote.ts';
import type { SafeTensor } from '../codec/safetensors/read.ts';
import { hintAbout } from './import-hints.ts';
import { list, refusal } from './import-refusal.ts';

/** A tensor of the file that has a part in the layer. */
export interface Part {
  /** As the file spells it. */
  readonly name: string;
  readonly tensor: SafeTensor;
  /** Its axes in the file, e.g. `HD`; an axis that must be 1 is called `1`. */
  readonly axes: string;
}

interface Left {
  readonly name: string;
  readonly tensor: SafeTensor;
}

export class TensorsLeft {
  readonly #all: ReadonlyMap<string, SafeTensor>;
  /** By the plain spelling of their names. */
  readonly #left = new Map<string, Left>();

  /**
   * @param spell a name in the file → the name by which it is taken; several may have the same
   * @throws unknown_tensors if two tensors are one by their plain names
   */
  constructor(tensors: ReadonlyMap<string, SafeTensor>, spell: (name: string) => string) {
    this.#all = tensors;
    for (const [name, tensor] of tensors) {
      const plain = spell(name);
      const other = this.#left.get(plain);
      if (other) throw sameTwice([other.name, name]);
      this.#left.set(plain, { name, tensor });
    }
  }

  has(name: string): boolean {
    return this.#left.has(name);
  }

  /** As the file spells it. */
  spelled(name: string): string {
    return this.#left.get(name)?.name ?? name;
  }

  shapeOf(name: string): readonly number[] | undefined {
    return this.#left.get(name)?.tensor.shape;
  }

  matching(pattern: RegExp): string[] {
    return [...this.#left.keys()].filter((name) => pattern.test(name));
  }

  take(name: string, axes: string): Part | undefined {
    const left = this.#left.get(name);
    this.#left.delete(name);
    return left && { ...left, axes };
  }

  /** @throws unknown_tensors */
  need(name: string, axes: string, why: string): Part {
    const part = this.take(name, axes);
    if (part) return part;
    const names = [...this.#all.keys()];
    const message = `Tensor ${quote(name)} is missing: ${why}. The file has ${list(names)}.`;
    throw refusal('unknown_tensors', [name], `${message}${hintAbout(names, quote)}`);
  }

  /** @param advice a sentence behind the others, or nothing · @throws unknown_tensors */
  expectNone(expected: string, advice = ''): void {
    const names = [...this.#left.values()].map(({ name }) => name);
    if (names.length === 0) return;
    const message = `The file also has ${list(names)}, expected ${expected}.`;
    throw refusal('unknown_tensors', names, `${message}${hintAbout(names, quote) || advice}`);
  }
}

function sameTwice(names: readonly string[]) {
  const message = `Tensors ${list(names)} have the same meaning, expected one of them.`;
  return refusal('unknown_tensors', names, message);
}
