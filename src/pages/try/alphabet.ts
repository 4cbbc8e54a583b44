// Which character each number of a model of characters is; where that is not known, the numbers themselves.
import type { Texts } from '../texts/en.ts';

export class Alphabet {
  /** Undefined if only the numbers are known. */
  readonly #characters: readonly string[] | undefined;
  readonly #texts: Texts['try'];
  readonly #V: number;

  /**
   * @param text the character of each number, one after the other; empty if they are not known
   * @param V how many numbers the model knows
   * @throws Error if there are not so many characters
   */
  constructor(text: string, V: number, texts: Texts) {
    const characters = Array.from(text);
    this.#characters = characters.length > 0 ? characters : undefined;
    this.#texts = texts.try;
    this.#V = V;
    if (this.#characters && characters.length !== V) throw new Error(texts.try.wrongAlphabet(V, characters.length));
  }

  /** @throws Error if the model does not know one of them, or if there is none */
  tokensOf(text: string): number[] {
    const parts = this.#characters ? Array.from(text) : text.split(/[\s,]+/).filter((part) => part !== '');
    if (parts.length === 0) throw new Error(this.#texts.emptyPrompt);
    return parts.map((part) => {
      const token = this.#characters ? this.#characters.indexOf(part) : Number(part);
      if (Number.isInteger(token) && token >= 0 && token < this.#V) return token;
      throw new Error(this.#texts.unknownCharacter(JSON.stringify(part), this.#characters?.join('').trim() ?? `0 … ${this.#V - 1}`));
    });
  }

  /** As it is written behind other text. */
  textOf(token: number): string {
    return this.#characters?.[token] ?? ` ${token}`;
  }
}
