// The tensors of a checkpoint that no layer has claimed yet. Each is claimed once, unless the client or the file says
// that layers share it, and in the end none may be left.
import { quote } from '../../codec/safetensors/quote.ts';
import type { SafeTensor } from '../../codec/safetensors/read.ts';
import { canonicalName } from './canonical-name.ts';
import type { FileTensor } from './layer.ts';
import { listNames, refusal } from './refusal.ts';
import { hintAbout } from './unsupported-tensors.ts';

interface NamedTensor {
  /** As the file spells it. */
  readonly name: string;
  readonly tensor: SafeTensor;
}

export class UnclaimedTensors {
  /** By their canonical names. */
  readonly #all = new Map<string, NamedTensor>();
  readonly #unclaimed = new Map<string, NamedTensor>();
  readonly #shared = new Map<string, NamedTensor>();

  /** @throws unknown_tensors if two tensors have the same canonical name */
  constructor(tensors: ReadonlyMap<string, SafeTensor>) {
    for (const [name, tensor] of tensors) {
      const canonical = canonicalName(name);
      const other = this.#all.get(canonical);
      if (other) throw duplicateTensors([other.name, name]);
      this.#all.set(canonical, { name, tensor });
      this.#unclaimed.set(canonical, { name, tensor });
    }
  }

  /** Whether it is there, claimed or not. */
  has(name: string): boolean {
    return this.#all.has(name);
  }

  /** All of them, as the file spells them. */
  names(): string[] {
    return [...this.#all.values()].map(({ name }) => name);
  }

  /** The name as the file spells it. */
  nameInFile(name: string): string {
    return this.#all.get(name)?.name ?? name;
  }

  shapeOf(name: string): readonly number[] | undefined {
    return this.#all.get(name)?.tensor.shape;
  }

  /** @param name as the file spells it, or another spelling of the same */
  shapeInFile(name: string): readonly number[] | undefined {
    return this.shapeOf(canonicalName(name));
  }

  /** Canonical names that begin with `prefix`, claimed or not. */
  allAt(prefix: string, pattern: RegExp): string[] {
    return [...this.#all.keys()].filter((name) => name.startsWith(prefix) && pattern.test(name));
  }

  /** Canonical names of those that are unclaimed. */
  matching(pattern: RegExp): string[] {
    return [...this.#unclaimed.keys()].filter((name) => pattern.test(name));
  }

  /**
   * Claims a tensor, if it is there.
   *
   * @param axes as in FileTensor
   */
  take(name: string, axes: readonly string[]): FileTensor | undefined {
    const found = this.#unclaimed.get(name) ?? this.#shared.get(name);
    this.#unclaimed.delete(name);
    this.#shared.delete(name);
    return found && { ...found, axes };
  }

  /**
   * Claims a tensor that a layer names, whether another layer has claimed it or not; undefined if there is none.
   *
   * @param name as the file spells it
   */
  share(name: string, axes: readonly string[]): FileTensor | undefined {
    const canonical = canonicalName(name);
    const found = this.#all.get(canonical);
    if (this.#unclaimed.delete(canonical)) this.#shared.set(canonical, found!);
    return found && { ...found, axes };
  }

  /**
   * Claims a tensor that must be there.
   *
   * @param why it must be, for the error
   * @throws unknown_tensors
   */
  require(name: string, axes: readonly string[], why: string): FileTensor {
    const tensor = this.take(name, axes);
    if (tensor) return tensor;
    const other = this.#all.get(name);
    if (other) throw claimedTwice(other.name);
    const names = this.names();
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

function claimedTwice(name: string) {
  const message =
    `Tensor ${quote(name)} is of an earlier layer, expected another. If two layers share it, the later one has to name ` +
    `it in the description of the layers, e.g. "weight": ${quote(name)}.`;
  return refusal('unknown_tensors', [name], message);
}

function duplicateTensors(names: readonly string[]) {
  const message = `Tensors ${listNames(names)} have the same meaning, expected one of them.`;
  return refusal('unknown_tensors', names, message);
}
