// A table of entries that the service lists in pages: a hundred rows at a time.
import type { Attempts } from './attempts.ts';
import { button, el } from './dom.ts';

const ROWS_AT_A_TIME = 100;

export interface ListingOptions<Entry> {
  readonly attempts: Attempts;
  readonly label: string;
  /** Of the columns. */
  readonly heads: readonly string[];
  /** Which columns are numbers, counted from 0. */
  readonly numbers: readonly number[];
  /** Called again whenever the list is shown anew. */
  readonly entries: () => AsyncIterable<Entry>;
  /** Its row, and rows that belong to it. */
  readonly rows: (entry: Entry) => readonly HTMLTableRowElement[];
  readonly texts: { readonly empty: string; readonly more: string };
}

export class Listing<Entry> {
  readonly element: HTMLElement;
  readonly #options: ListingOptions<Entry>;
  readonly #rows = el('tbody');
  readonly #empty: HTMLElement;
  readonly #more: HTMLButtonElement;
  #iterator: AsyncIterator<Entry> | undefined;

  constructor(options: ListingOptions<Entry>) {
    this.#options = options;
    const { heads, numbers, label, texts } = options;
    this.#empty = el('p', { class: 'weak', hidden: true }, texts.empty);
    this.#more = button(texts.more, () => void options.attempts.run(() => this.#readMore()), { hidden: true });
    const head = el('tr', {}, heads.map((text, k) => el('th', { scope: 'col', class: numbers.includes(k) && 'number' }, text)));
    this.element = el('div', {}, [
      el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': label }, [el('table', { class: 'listing' }, [el('thead', {}, [head]), this.#rows])]),
      this.#empty,
      this.#more,
    ]);
  }

  /** Shows the list from its beginning. @throws CarryoverError */
  async refresh(): Promise<void> {
    this.#iterator = this.#options.entries()[Symbol.asyncIterator]();
    this.#rows.replaceChildren();
    await this.#readMore();
  }

  async #readMore(): Promise<void> {
    const iterator = this.#iterator!;
    for (let count = 0; count < ROWS_AT_A_TIME; count++) {
      const { done, value } = await iterator.next();
      if (iterator !== this.#iterator) return;
      this.#more.hidden = done === true;
      if (done) break;
      this.#rows.append(...this.#options.rows(value));
    }
    this.#empty.hidden = this.#rows.childElementCount > 0;
  }
}
