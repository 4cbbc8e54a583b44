// The buttons that carry the state on, and the step that is shown.
import { button, el, liveText } from '../dom.ts';
import type { Texts } from '../texts/en.ts';
import { STEPS_MAX } from './unrolled.ts';

const SPEEDS = [1, 4, 15, 60, 240] as const;

export interface TransportOptions {
  readonly texts: Texts;
  readonly onReset: () => void;
  readonly onStep: () => void;
  readonly onPlay: () => void;
  readonly onSpeed: (stepsPerSecond: number) => void;
}

export class Transport {
  readonly element: HTMLElement;
  readonly #texts: Texts['understand']['run'];
  readonly #step: HTMLButtonElement;
  readonly #play: HTMLButtonElement;
  readonly #position = liveText({ class: 'position' });
  #stepsPerSecond: number = matchMedia('(prefers-reduced-motion: reduce)').matches ? 1 : 15;

  constructor({ texts, onReset, onStep, onPlay, onSpeed }: TransportOptions) {
    const { run } = texts.understand;
    this.#texts = run;
    this.#step = button(run.step, onStep);
    this.#play = button(run.play, onPlay, { class: 'primary' });
    const options = SPEEDS.map((value) => el('option', { value, selected: value === this.#stepsPerSecond }, run.stepsPerSecond(value)));
    const speed = el('select', { 'aria-label': run.speed }, options, {
      change: () => {
        this.#stepsPerSecond = Number(speed.value);
        onSpeed(this.#stepsPerSecond);
      },
    });
    this.element = el('div', { class: 'transport', role: 'group', 'aria-label': run.label }, [
      button(run.reset, onReset),
      this.#step,
      this.#play,
      speed,
      this.#position,
    ]);
  }

  get stepsPerSecond(): number {
    return this.#stepsPerSecond;
  }

  showPlaying(isPlaying: boolean): void {
    this.#play.textContent = isPlaying ? this.#texts.pause : this.#texts.play;
    // Said once, not for every frame.
    this.#position.setAttribute('aria-live', isPlaying ? 'off' : 'polite');
  }

  /** @param t the step that is shown; @param T the last one */
  showPosition(t: number, T: number): void {
    this.#position.textContent = t === STEPS_MAX ? this.#texts.full(t) : this.#texts.position(t, T);
    this.#play.disabled = this.#step.disabled = T === STEPS_MAX;
  }
}
