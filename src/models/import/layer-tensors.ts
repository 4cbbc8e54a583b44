// The tensors of one described layer by their roles: those that the description names, and those at the layer's path.
import { quote } from '../../codec/safetensors/quote.ts';
import { invalidRequest } from '../../errors.ts';
import type { FileTensor } from './layer.ts';
import { listNames, refusal } from './refusal.ts';
import type { UnclaimedTensors } from './unclaimed-tensors.ts';

const NONE: ReadonlyMap<string, string> = new Map();

export class LayerTensors {
  readonly #tensors: UnclaimedTensors;
  readonly #named: ReadonlyMap<string, string>;
  readonly #canonicalOf: (role: string) => string | undefined;
  readonly #place: string;

  /**
   * @param canonicalOf the canonical name of a role at the layer's path; undefined if it has none
   * @param named tensors that the description names by themselves
   * @param place of the layer in the description
   */
  constructor(
    tensors: UnclaimedTensors,
    canonicalOf: (role: string) => string | undefined,
    named: ReadonlyMap<string, string> = NONE,
    place = '',
  ) {
    this.#tensors = tensors;
    this.#canonicalOf = canonicalOf;
    this.#named = named;
    this.#place = place;
  }

  has(role: string): boolean {
    const canonical = this.#canonicalOf(role);
    return this.#named.has(role) || (canonical !== undefined && this.#tensors.has(canonical));
  }

  shapeOf(role: string): readonly number[] | undefined {
    const name = this.#named.get(role) ?? this.#canonicalOf(role);
    return name === undefined ? undefined : this.#tensors.shapeInFile(name);
  }

  /** @throws unknown_tensors if the description names a tensor that is not there, or one is of an earlier layer */
  take(role: string, axes: readonly string[]): FileTensor | undefined {
    return this.has(role) ? this.require(role, axes, '') : undefined;
  }

  #requireAtPath(role: string, axes: readonly string[], why: string): FileTensor {
    const canonical = this.#canonicalOf(role);
    if (canonical !== undefined) return this.#tensors.require(canonical, axes, why);
    throw invalidRequest(
      `${this.#place} names some of its tensors and has no path: expected also ${role}, because ${why}.`,
    );
  }

  /** @param why the layer has such a tensor · @throws unknown_tensors */
  require(role: string, axes: readonly string[], why: string): FileTensor {
    const name = this.#named.get(role);
    if (name === undefined) return this.#requireAtPath(role, axes, why);
    const found = this.#tensors.share(name, axes);
    if (found) return found;
    throw refusal(
      'unknown_tensors',
      [name],
      `${this.#place}.${role} names tensor ${quote(name)}, which is missing. The file has ` +
        `${listNames(this.#tensors.names())}.`,
    );
  }
}
