// The tensors of a checkpoint that no part of the layer has claimed yet. Each is claimed once, and in the
// end none may be left.
import { quote } from '../../codec/safetensors/quote.ts';
import type { SafeTensor } from '../../codec/safetensors/read.ts';
import type { LayerTensor } from './layer.ts';
import { listNames, refusal } from './refusal.ts';
import { hintAbout } from './unsupported-tensors.ts';

interface NamedTensor {
  /** As the file spells it. */
  readonly name: string;
  readonly tensor: SafeTensor;
}

export class UnclaimedTensors {
  readonly #all: ReadonlyMap<string, SafeTensor>;
  /** By their canonical names. */
  readonly #unclaimed = new Map<string, NamedTensor>();

  /**
   * @param canonicalName a name in the file → the name by which it is claimed
   * @throws unknown_tensors if two tensors have the same canonical name
   */
  constructor(tensors: ReadonlyMap<string, SafeTensor>, canonicalName: (name: string) => string) {
    this.#all = tensors;
    for (const [name, tensor] of tensors) {
      const canonical = canonicalName(name);
      const other = this.#unclaimed.get(canonical);
      if (other) throw duplicateTensors([other.name, name]);
      this.#unclaimed.set(canonical, { name, tensor });
    }
  }

  has(name: string): boolean {
    return this.#unclaimed.has(name);
  }

  /** The name as the file spells it. */
  nameInFile(name: string): string {
    return this.#unclaimed.get(name)?.name ?? name;
  }

  shapeOf(name: string): readonly number[] | undefined {
    return this.#unclaimed.get(name)?.tensor.shape;
  }

  /** Canonical names. */
  matching(pattern: RegExp): string[] {
    return [...this.#unclaimed.keys()].filter((name) => pattern.test(name));
  }

  /**
   * Claims a tensor, if it is there.
   *
   * @param axes one letter an axis, e.g. `HD`; an axis that must be 1 is `1`
   */
  take(name: string, axes: string): LayerTensor | undefined {
    const found = this.#unclaimed.get(name);
    this.#unclaimed.delete(name);
    return found && { ...found, axes };
  }

  /**
   * Claims a tensor that must be there.
   *
   * @param why it must be, for the error
   * @throws unknown_tensors
   */
  require(name: string, axes: string, why: string): LayerTensor {
    const tensor = this.take(name, axes);
    if (tensor) return tensor;
    const names = [...this.#all.keys()];
    const message = `Tensor ${quote(name)} is missing: ${why}. The file has ${listNames(names)}.`;
    throw refusal('unknown_tensors', [name], `${message}${hintAbout(names, quote)}`);
  }

  /**
   * Checks that every tensor was claimed.
   *
   * @param expected for the error
   * @param advice a sentence at its end, beginning with a space
   * @throws unknown_tensors
   */
  expectNone(expected: string, advice = ''): void {
    const names = [...this.#unclaimed.values()].map(({ name }) => name);
    if (names.length === 0) return;
    const message = `The file also has ${listNames(names)}, expected ${expected}.`;
    throw refusal('unknown_tensors', names, `${message}${hintAbout(names, quote) || advice}`);
  }
}

function duplicateTensors(names: readonly string[]) {
  const message = `Tensors ${listNames(names)} have the same meaning, expected one of them.`;
  return refusal('unknown_tensors', names, message);
}
