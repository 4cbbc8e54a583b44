// The steps of a session as a slider: dragged back, the session is rewound to the step where it is let go.
import { el } from '../dom.ts';
import type { Texts } from '../texts/en.ts';
import type { Future } from './future.ts';

export interface TimeLineOptions {
  readonly texts: Texts;
  /** What the future is called. */
  readonly name: string;
  readonly future: Future;
  /** Called while it is dragged, with the step that it would be rewound to. */
  readonly onPreview: (t: number) => void;
  /** Called with a step whose state is kept. */
  readonly onRewind: (t: number) => void;
}

export class TimeLine {
  readonly element: HTMLElement;
  readonly #options: TimeLineOptions;
  readonly #slider: HTMLInputElement;
  readonly #said = el('output', { class: 'weak' });

  constructor(options: TimeLineOptions) {
    this.#options = options;
    this.#slider = el('input', { type: 'range', 'aria-label': options.texts.try.timeLine(options.name) }, [], {
      input: () => this.#preview(),
      change: () => this.#rewind(),
    });
    this.element = el('div', { class: 'row time-line' }, [this.#slider, this.#said]);
    this.update();
  }

  /** Shows where the session is. */
  update(): void {
    const { oldest, t } = this.#options.future;
    Object.assign(this.#slider, { min: String(oldest), max: String(t), step: '1', value: String(t), disabled: oldest === t });
    this.#say(this.#options.texts.try.at(t, oldest));
  }

  /** The slider may stand where no state is kept: then it goes to the one before. */
  get #target(): number | undefined {
    const { future } = this.#options;
    const t = Number(this.#slider.value);
    return t === future.t ? undefined : future.keptBefore(t);
  }

  #preview(): void {
    const { texts, future, onPreview } = this.#options;
    const target = this.#target ?? future.t;
    this.#say(target === future.t ? texts.try.at(target, future.oldest) : texts.try.rewindTo(target));
    onPreview(target);
  }

  #rewind(): void {
    const target = this.#target;
    if (target === undefined) this.update();
    else this.#options.onRewind(target);
  }

  #say(text: string): void {
    this.#said.textContent = text;
    this.#slider.setAttribute('aria-valuetext', text);
  }
}
