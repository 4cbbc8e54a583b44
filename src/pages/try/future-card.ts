// One future on the page: its session, its time line, its states, and what a view puts between them.
import type { Attempts } from '../attempts.ts';
import { type Child, button, el } from '../dom.ts';
import { onceAFrame } from '../frames.ts';
import type { Page } from '../page.ts';
import type { Future } from './future.ts';
import { StatesPicture } from './states.ts';
import { TimeLine } from './time-line.ts';

export type FutureName = 'A' | 'B';

export interface FutureCardOptions {
  readonly page: Page;
  readonly attempts: Attempts;
  readonly name: FutureName;
  readonly future: Future;
  /** Shown between the heading and the time line. */
  readonly content: readonly Child[];
  /** Called when the future has other steps, and while it is dragged back, with the step that it would have. */
  readonly onChange: (t: number) => void;
  /** Undefined of a future that is not forked. */
  readonly onFork: ((fork: Future) => void) | undefined;
}

/** Columns of the picture, which is drawn with every step. */
const STATES_SHOWN_MAX = 400;

export class FutureCard {
  readonly element: HTMLElement;
  readonly future: Future;
  /** Redraws before the next frame. */
  readonly update: () => void;
  readonly #options: FutureCardOptions;
  readonly #picture: StatesPicture;
  readonly #timeLine: TimeLine;
  readonly #stop: HTMLButtonElement;
  readonly #controls: HTMLFieldSetElement;
  #isStopped = false;

  constructor(options: FutureCardOptions) {
    const { page, name, future, content, onFork } = options;
    const { texts } = page;
    this.#options = options;
    this.future = future;
    this.update = onceAFrame(() => this.#draw());
    this.#picture = new StatesPicture(texts);
    this.#timeLine = new TimeLine({ texts, name: texts.try.future(name), future, onPreview: options.onChange, onRewind: (t) => this.#rewind(t) });
    this.#stop = button(texts.try.stop, () => (this.#isStopped = true), { hidden: true });
    const fork = onFork && button(texts.try.fork, () => void this.run(async () => onFork(await future.fork(options.attempts.signal))));
    this.#controls = el('fieldset', {}, [...content, this.#timeLine.element, fork && el('p', { class: 'row' }, [fork])]);
    this.element = el('section', { class: `panel future future-${name}`, 'aria-label': texts.try.future(name) }, [
      el('div', { class: 'row' }, [el('h3', {}, texts.try.future(name)), this.#stop]),
      el('p', { class: 'weak' }, [
        `${texts.try.session} `,
        el('code', {}, future.session.id),
        ' · ',
        el('a', { href: `#/sessions?id=${encodeURIComponent(future.session.id)}` }, texts.try.inSessions),
      ]),
      this.#controls,
      this.#picture.element,
    ]);
    this.update();
  }

  /** Does something with the future while nothing else can be done with it. @param action asks `goOn` between its steps */
  async run(action: (goOn: () => boolean) => Promise<void>): Promise<void> {
    const { signal } = this.#options.attempts;
    this.#isStopped = false;
    this.#controls.disabled = true;
    this.#stop.hidden = false;
    await this.#options.attempts.run(() => action(() => !this.#isStopped && !signal.aborted));
    this.#controls.disabled = false;
    this.#stop.hidden = true;
    this.#draw();
  }

  #rewind(t: number): void {
    void this.run(() => this.future.rewind(t, this.#options.attempts.signal));
  }

  #draw(): void {
    this.#timeLine.update();
    this.#picture.draw(this.future.steps.slice(-STATES_SHOWN_MAX).map(({ h }) => h));
    this.#options.onChange(this.future.t);
  }
}
