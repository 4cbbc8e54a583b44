// Beyond the end of the data: a session that begins with the state there, and a fork of it beside it.
import type { ModelInfo, Session, SessionOptions } from '../../client/index.ts';
import type { Attempts } from '../attempts.ts';
import { button, el, field } from '../dom.ts';
import { shortNumber } from '../numbers.ts';
import type { Page } from '../page.ts';
import { carryoverOf } from '../service.ts';
import { FutureCard, type FutureName } from './future-card.ts';
import { Future, KEEP_MAX, TTL_S } from './future.ts';
import type { SeriesSource } from './series-source.ts';

export interface SeriesFuturesOptions {
  readonly page: Page;
  readonly attempts: Attempts;
  readonly model: ModelInfo;
  readonly source: SeriesSource;
  /** Called when the lines have changed. */
  readonly onChange: () => void;
}

type End = Pick<SessionOptions, 'h' | 'c'>;

interface Shown {
  readonly card: FutureCard;
  /** Puts what is likely next into the field. */
  readonly suggest: () => void;
  /** How far it is shown while it is dragged back. */
  t: number;
}

const STEPS = 24;

export class SeriesFutures {
  readonly element: HTMLElement;
  readonly #options: SeriesFuturesOptions;
  readonly #cards = el('div', { class: 'futures' });
  readonly #begin: HTMLButtonElement;
  #end: { readonly state: End; readonly y: Float32Array | undefined } | undefined;
  #shown: { A?: Shown; B?: Shown } = {};

  constructor(options: SeriesFuturesOptions) {
    const { page: { texts: { try: texts } }, attempts } = options;
    this.#options = options;
    this.#begin = button(texts.goOn, () => void attempts.run(() => this.#create()), { class: 'primary', disabled: true });
    this.element = el('section', {}, [
      el('h2', {}, texts.futures),
      el('p', { class: 'weak' }, texts.futuresExplanation),
      el('p', {}, [this.#begin]),
      this.#cards,
    ]);
  }

  /** The data ends with this state. @param y answered to its last step */
  beginAt(state: End, y: Float32Array | undefined): void {
    this.#end = { state, y };
    this.#begin.disabled = false;
  }

  /** Goes on with a session that is there. @throws CarryoverError */
  async open(session: Session): Promise<void> {
    const { kept } = await session.read({ signal: this.#options.attempts.signal });
    this.#show('A', new Future(session, { isEmbedding: false, isOpened: true, kept }));
  }

  /** Ends the futures of an end that is no more. */
  clear(): void {
    for (const shown of Object.values(this.#shown)) void shown.card.future.end();
    this.#shown = {};
    this.#end = undefined;
    this.#begin.disabled = true;
    this.#cards.replaceChildren();
  }

  /** x of the steps of the first future. */
  get steps(): readonly (readonly number[])[] {
    return this.#shown.A?.card.future.steps.map(({ x }) => x) ?? [];
  }

  /** Of the steps of the first future that are shown. */
  get states(): readonly Float32Array[] {
    const { A } = this.#shown;
    return A ? A.card.future.steps.slice(0, A.t - A.card.future.t0).map(({ h }) => h) : [];
  }

  /** Both futures in the units of the data, at the steps behind its last one. */
  lines(): { readonly A: readonly (number | null)[]; readonly B: readonly (number | null)[] } {
    return { A: this.#lineOf(this.#shown.A), B: this.#lineOf(this.#shown.B) };
  }

  async #create(): Promise<void> {
    const { page, model, attempts } = this.#options;
    const { state, y } = this.#end!;
    const session = await carryoverOf(page).sessions.create({ model: model.id, ...state, keep: KEEP_MAX, ttl_s: TTL_S, signal: attempts.signal });
    const old = this.#shown;
    this.#shown = {};
    for (const shown of Object.values(old)) void shown.card.future.end();
    this.#show('A', new Future(session, { isEmbedding: false, start: { y } }));
  }

  #show(name: FutureName, future: Future): void {
    const { page, attempts, onChange } = this.#options;
    const { texts: { try: texts } } = page;
    const D = this.#options.model.D;
    const next = el('input', { type: 'text', size: Math.min(60, 8 + 6 * D), inputmode: D === 1 ? 'decimal' : 'text', spellcheck: 'false' });
    const count = el('input', { type: 'number', min: 1, max: 1000, step: 1, value: STEPS });
    const suggest = () => (next.value = this.#likely(future).map(shortNumber).join(', '));
    const run = (xOf: () => readonly number[]) =>
      void card.run(async (goOn) => {
        for (let k = 0; k < Number(count.value) && goOn(); k++) {
          await future.step(xOf(), attempts.signal);
          card.update();
        }
        suggest();
      });
    const content = [
      el('div', { class: 'row form' }, [
        field(texts.next(D), next),
        button(texts.step, () => void card.run(async () => {
          await future.step(this.#read(next.value), attempts.signal);
          suggest();
        }), { class: 'primary' }),
      ]),
      el('div', { class: 'row form' }, [
        field(texts.steps, count),
        this.#canFeed && button(texts.feed, () => run(() => this.#fed(future))),
        button(texts.hold, () => run(() => this.#held(future))),
      ].filter((child) => child !== false)),
    ];
    const onFork = name === 'A' ? (fork: Future) => this.#fork(fork) : undefined;
    const card: FutureCard = new FutureCard({ page, attempts, name, future, content, onFork, onChange: (t) => {
      shown.t = t;
      onChange();
    } });
    const shown: Shown = { card, suggest, t: future.t };
    this.#shown[name] = shown;
    suggest();
    this.#cards.replaceChildren(...Object.values(this.#shown).map((one) => one.card.element));
    onChange();
  }

  #fork(future: Future): void {
    void this.#shown.B?.card.future.end();
    this.#show('B', future);
  }

  /** Whether what the model answers can be its next input. */
  get #canFeed(): boolean {
    const { O, D } = this.#options.model;
    return O === D;
  }

  /** What may come next, in the units of the data. */
  #likely(future: Future): number[] {
    const { source } = this.#options;
    const x = this.#canFeed && future.y ? Array.from(future.y) : this.#held(future);
    return x.map((value) => value * source.unit);
  }

  #held(future: Future): readonly number[] {
    const { source } = this.#options;
    return future.steps.at(-1)?.x ?? source.inputsOf().map((value) => value / source.unit);
  }

  #fed(future: Future): readonly number[] {
    return future.y ? Array.from(future.y) : this.#held(future);
  }

  /** @throws Error if there are not D numbers */
  #read(text: string): number[] {
    const { page: { texts }, model: { D }, source } = this.#options;
    const values = text.split(/[\s,;]+/).filter((part) => part !== '').map(Number);
    if (values.length !== D || !values.every(Number.isFinite)) throw new Error(texts.try.badNext(D));
    return values.map((value) => value / source.unit);
  }

  /**
   * Of a model that can be fed, what came at each step, and what is forecast behind the last; else what was forecast. It
   * begins where the data ends, so that the lines meet.
   */
  #lineOf(shown: Shown | undefined): (number | null)[] {
    const { source } = this.#options;
    if (!shown) return [];
    const { future } = shown.card;
    const steps = future.steps.slice(0, shown.t - future.t0);
    const shownY = (y: Float32Array | undefined) => (y ? y[source.output]! * source.unit : null);
    const start = source.compared.at(-1) ?? null;
    const before = Array<null>(Math.max(0, source.T - 1)).fill(null);
    const first = shownY(future.startY);
    if (!this.#canFeed) return [...before, start, first, ...steps.map(({ y }) => shownY(y))];
    const came = steps.map(({ x }) => source.comparedOf(x.map((value) => value * source.unit)) ?? null);
    const last = steps.at(-1);
    return [...before, start, ...came, last ? shownY(last.y) : first];
  }
}
