// A future that writes: each character is drawn from the probabilities that the model answers with, and is its next input.
import type { Attempts } from '../attempts.ts';
import { button, el, field, liveText } from '../dom.ts';
import type { Page } from '../page.ts';
import type { Alphabet } from './alphabet.ts';
import { FutureCard, type FutureName } from './future-card.ts';
import type { Future } from './future.ts';
import { Sampler } from './sampler.ts';

export interface WriterOptions {
  readonly page: Page;
  readonly attempts: Attempts;
  readonly name: FutureName;
  readonly future: Future;
  readonly alphabet: Alphabet;
  /** What the model has read before the first step. */
  readonly prompt: string;
  /** Makes probabilities of what the model answers with. */
  readonly toProbabilities: (y: Float32Array) => Float32Array;
  readonly temperature: number;
  readonly seed: number;
  /** Characters to write at a time. */
  readonly length: () => number;
  readonly onFork: ((fork: Future) => void) | undefined;
}

export class Writer {
  readonly card: FutureCard;
  readonly #options: WriterOptions;
  readonly #text = el('span');
  /** What would be taken back. */
  readonly #undone = el('span', { class: 'undone' });
  readonly #said = liveText({ class: 'weak' });
  readonly #temperature: HTMLInputElement;
  readonly #seed: HTMLInputElement;

  constructor(options: WriterOptions) {
    const { page: { texts }, prompt } = options;
    this.#options = options;
    this.#temperature = temperatureInput(options.temperature);
    this.#seed = seedInput(options.seed);
    const content = [
      el('p', { class: 'writing', lang: 'en' }, [el('strong', {}, prompt), this.#text, this.#undone]),
      this.#said,
      el('div', { class: 'row form' }, [
        field(texts.try.temperature, this.#temperature),
        field(texts.try.seed, this.#seed),
        button(texts.try.writeOn, () => void this.write(), { class: 'primary' }),
      ]),
    ];
    this.card = new FutureCard({ ...options, content, onChange: (t) => this.#show(t) });
  }

  get temperature(): number {
    return temperatureOf(this.#temperature);
  }

  get seed(): number {
    return seedOf(this.#seed);
  }

  /** Writes on from where it is: the same seed and temperature write the same again, also after a rewind. */
  async write(): Promise<void> {
    const { future, attempts, toProbabilities, page } = this.#options;
    const sampler = new Sampler(this.seed, this.temperature, future.steps.length);
    const length = this.#options.length();
    await this.card.run(async (goOn) => {
      this.#said.textContent = '';
      let count = 0;
      for (; count < length && goOn(); count++) {
        const token = sampler.draw(toProbabilities(future.y!));
        await future.step([token], attempts.signal);
        this.card.update();
      }
      this.#said.textContent = page.texts.try.wrote(count);
    });
  }

  /** @param t with what is behind it as undone */
  #show(t: number): void {
    const { future, alphabet } = this.#options;
    const tokens = future.steps.map(({ x }) => alphabet.textOf(x[0]!));
    this.#text.textContent = tokens.slice(0, t - future.t0).join('');
    this.#undone.textContent = tokens.slice(t - future.t0).join('');
  }
}

export function temperatureInput(value: number): HTMLInputElement {
  return el('input', { type: 'number', min: 0.1, max: 5, step: 0.1, value });
}

export function temperatureOf({ value }: HTMLInputElement): number {
  return Math.max(0.01, Number(value) || 1);
}

export function seedInput(value: number): HTMLInputElement {
  return el('input', { type: 'number', min: 0, max: 2 ** 32 - 1, step: 1, value });
}

export function seedOf({ value }: HTMLInputElement): number {
  return Math.trunc(Number(value)) >>> 0;
}
