// Draws from the probabilities that a model answers with, as `carryover generate` does: the same seed writes the same text.

export class Sampler {
  readonly #temperature: number;
  #state: number;

  /**
   * @param seed an integer: the same seed draws the same from the same probabilities
   * @param temperature above 0; below 1 likely indices become more likely, above 1 less
   * @param drawn goes on as after so many draws
   */
  constructor(seed: number, temperature: number, drawn = 0) {
    this.#temperature = temperature;
    this.#state = (seed + Math.imul(drawn, INCREMENT)) | 0;
  }

  /** An index, drawn with a probability proportional to p^(1/temperature). */
  draw(probabilities: ArrayLike<number>): number {
    const weights = Array.from(probabilities, (p) => p ** (1 / this.#temperature));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    let left = this.#random() * total;
    const index = weights.findIndex((weight) => (left -= weight) < 0);
    // Rounding may leave a rest behind the last one.
    return index < 0 ? weights.length - 1 : index;
  }

  /** A number in [0, 1): mulberry32, 32 bits of state. */
  #random(): number {
    this.#state = (this.#state + INCREMENT) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }
}

/** Of the state, for each draw. */
const INCREMENT = 0x6d2b79f5;
