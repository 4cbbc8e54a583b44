// What is chosen about the picture: the cell, its sizes, its numbers, its input.
import { button, el, field } from '../dom.ts';
import type { Page } from '../page.ts';
import { CELLS, type CellName } from './cells.ts';
import type { Sizes } from './network.ts';
import { SERIES, type SeriesName } from './series.ts';

/** Up to 8 each number is a cell of a table; beyond, matrices are heatmaps. */
const SIZES = {
  N: [1, 2, 3, 4, 5, 6, 7, 8],
  D: [1, 2, 3, 4, 5, 6, 7, 8],
  H: [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 48, 64],
} as const satisfies Record<keyof Sizes, readonly number[]>;

export interface Choices extends Sizes {
  readonly cell: CellName;
  readonly seed: number;
  readonly series: SeriesName;
}

export class Controls {
  readonly element: HTMLElement;
  #choices: Choices;

  /** @param onChange called with what is chosen now, and what has changed */
  constructor({ texts }: Page, choices: Choices, onChange: (choices: Choices, changed: keyof Choices) => void) {
    this.#choices = choices;
    const { controls, cells, series } = texts.understand;
    const change = <Name extends keyof Choices>(name: Name, value: Choices[Name]) => {
      this.#choices = { ...this.#choices, [name]: value };
      onChange(this.#choices, name);
    };
    const cellButtons = (Object.keys(CELLS) as CellName[]).map((name) =>
      button(cells[name].name, () => {
        for (const one of cellButtons) one.setAttribute('aria-pressed', String(one === cellButtons[Object.keys(CELLS).indexOf(name)]));
        change('cell', name);
      }, { 'aria-pressed': String(name === choices.cell) }),
    );
    const seed = el('input', { type: 'number', min: 1, max: 9999, step: 1, value: choices.seed, class: 'seed' }, [], {
      change: () => {
        if (!seed.validity.valid || seed.value === '') seed.value = String(this.#choices.seed);
        change('seed', Number(seed.value));
      },
    });
    const dice = button(controls.random, () => {
      seed.value = String((this.#choices.seed % 9999) + 1);
      change('seed', Number(seed.value));
    });
    const input = el('select', {}, (Object.keys(SERIES) as SeriesName[]).map((name) => el('option', { value: name, selected: name === choices.series }, series[name])), {
      change: () => change('series', input.value as SeriesName),
    });
    this.element = el('div', { class: 'panel controls' }, [
      el('div', { class: 'row segments', role: 'group', 'aria-label': controls.cell }, cellButtons),
      el('div', { class: 'sizes' }, (['N', 'D', 'H'] as const).map((name) => sizeSlider(name, controls.sizes[name], choices[name], (value) => change(name, value)))),
      field(controls.input, input),
      el('div', { class: 'row' }, [field(controls.seed, seed), dice]),
    ]);
  }
}

function sizeSlider(name: keyof Sizes, label: string, value: number, onChange: (value: number) => void): HTMLElement {
  const values: readonly number[] = SIZES[name];
  const text = el('span', {});
  const slider = el('input', { type: 'range', min: 0, max: values.length - 1, step: 1, value: values.indexOf(value) }, [], {
    input: () => {
      show();
      onChange(chosen());
    },
  });
  const chosen = () => values[Number(slider.value)]!;
  const show = () => {
    text.replaceChildren(el('strong', {}, `${name} = ${chosen()}`), ' ', el('span', { class: 'weak' }, label));
    slider.setAttribute('aria-valuetext', String(chosen()));
  };
  show();
  return el('label', { class: 'field size' }, [text, slider]);
}
