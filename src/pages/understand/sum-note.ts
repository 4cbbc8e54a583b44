// How one number of the picture comes about, term by term. The terms are written out, not computed: the result is the service's.
import { el } from '../dom.ts';
import { shortNumber } from '../numbers.ts';
import type { Texts } from '../texts/en.ts';
import { type Place, shortest } from './matrix.ts';
import { formula, prose } from './names.ts';

/** Terms of one sum that are written out; of more, the first and the last. */
const TERMS_MAX = 9;

export interface Explanation {
  /** Of the tensor, `z`. */
  readonly name: string;
  readonly place: Place;
  readonly value: number;
  /** What the number is made of, as formulas: `h_{t-1} W_h [0, 2]`. */
  readonly is?: string;
  /** The same with numbers, one string a term. */
  readonly terms?: readonly string[];
  /** What stands around the terms: `tanh(…)`. */
  readonly around?: string;
}

export class SumNote {
  readonly element = el('div', { class: 'sum', role: 'status', 'aria-live': 'polite' });
  readonly #texts: Texts['understand']['sum'];
  #hint = '';

  constructor({ understand }: Texts) {
    this.#texts = understand.sum;
  }

  /** @param hint is there while no number is pointed at */
  clear(hint: string): void {
    this.#hint = hint;
    this.show(undefined);
  }

  show(explanation: Explanation | undefined): void {
    this.element.classList.toggle('idle', !explanation);
    if (!explanation) return this.element.replaceChildren(el('p', { class: 'weak' }, prose(this.#hint)));
    const { name, place, value, is, terms, around } = explanation;
    const lines = [
      el('p', {}, [formula(name), ` [${place.row}, ${place.column}]`, is === undefined ? ` = ${shortest(value)}` : '']),
      is === undefined ? undefined : el('p', { class: 'weak' }, ['= ', formula(is)]),
      terms && el('p', {}, ['= ', this.#written(terms, around)]),
      is === undefined ? undefined : el('p', {}, ['= ', el('strong', {}, String(shortest(value)).replace('-', '−'))]),
    ];
    this.element.replaceChildren(...lines.filter((line) => line !== undefined));
  }

  #written(terms: readonly string[], around = '…'): string {
    const left = terms.length - TERMS_MAX;
    const shown = left > 1 ? [...terms.slice(0, TERMS_MAX - 2), this.#texts.more(left + 1), terms.at(-1)!] : terms;
    return around.replace('…', () => shown.join(' + '));
  }
}

/** `0.5 × (−0.25)`. */
export function times(...factors: readonly number[]): string {
  return factors.map(term).join(' × ');
}

export function term(value: number): string {
  const text = shortNumber(value).replace('-', '−');
  return value < 0 ? `(${text})` : text;
}
