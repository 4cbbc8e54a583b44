// Draws from the probabilities that a model answers with.
import { pseudoRandom } from '../../wasm/pseudo-random.ts';

export class Sampler {
  readonly #random: () => number;
  readonly #temperature: number;

  /**
   * @param seed an integer: the same seed draws the same from the same probabilities
   * @param temperature above 0; below 1 likely indices become more likely, above 1 less
   */
  constructor(seed: number, temperature: number) {
    this.#random = pseudoRandom(seed);
    this.#temperature = temperature;
  }

  /**
   * An index, drawn with a probability proportional to p^(1/temperature).
   *
   * The probabilities are the same bits on every machine. `**` may differ in its last bit, which moves the bounds
   * between indices by 1e-16: no draw of a text is likely ever to fall between.
   */
  draw(probabilities: readonly number[]): number {
    const weights = probabilities.map((p) => p ** (1 / this.#temperature));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    let left = ((this.#random() + 1) / 2) * total;
    const index = weights.findIndex((weight) => (left -= weight) < 0);
    // Rounding may leave a rest behind the last one.
    return index < 0 ? weights.length - 1 : index;
  }
}
