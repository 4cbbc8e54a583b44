// Hidden states of N = 1 as pictures: one column a step.
import type { States } from '../../client/index.ts';
import { el } from '../dom.ts';
import { Heatmap } from '../heatmap.ts';
import type { Texts } from '../texts/en.ts';

/** h of the last recurrent layer. */
export function lastState(h: States): Float32Array {
  return (Array.isArray(h) ? h.at(-1)! : h).data;
}

const HEIGHT = 130;

export class StatesPicture {
  readonly element = el('div', { class: 'states', hidden: true });
  readonly #heatmap: Heatmap;

  constructor(texts: Texts) {
    this.#heatmap = new Heatmap({ name: texts.try.states, texts, height: HEIGHT, stretch: true });
    this.element.append(this.#heatmap.element);
  }

  /**
   * @param states T times (H), the first step first
   * @param steps of the chart above it, T or more: the picture covers its part of their width
   */
  draw(states: readonly Float32Array[], steps = states.length): void {
    const [H, T] = [states[0]?.length ?? 0, states.length];
    this.element.hidden = T === 0;
    this.#heatmap.element.style.width = `${(100 * T) / Math.max(1, steps)}%`;
    const values = new Float32Array(H * T);
    for (const [t, state] of states.entries()) for (let k = 0; k < H; k++) values[k * T + t] = state[k]!;
    this.#heatmap.draw(values, H, T);
  }

  /** Frames the column of a step, counted from 0. */
  light(t: number | undefined): void {
    this.#heatmap.light(undefined, t);
  }
}
