// How the gates make the next state: of an LSTM c_t = f ∘ c_{t-1} + i ∘ g and h_t = o ∘ tanh(c_t), of a GRU
// h_t = (1 - z) ∘ n + z ∘ h_{t-1}. All are products number by number, so all matrices have the shape (N, H).
import { el } from '../dom.ts';
import type { Page } from '../page.ts';
import { type OnEdit, operator } from './equation.ts';
import { type Matrix, type Place, at } from './matrix.ts';
import { MatrixView } from './matrix-view.ts';
import type { Network } from './network.ts';
import type { Step } from './steps.ts';
import { type Explanation, SumNote, term, times } from './sum-note.ts';

type Read = (step: Step) => Matrix;

/** What stands in a line: a matrix by its name, or a sign. */
type Item = { readonly name: string; readonly read: Read; readonly tensor?: 'c' } | string;

const gate = (name: string): Item => ({ name, read: ({ values }) => values[name]! });
const H_BEFORE: Item = { name: 'h_{t-1}', read: ({ before }) => before.h };
const C_BEFORE: Item = { name: 'c_{t-1}', read: ({ before }) => before.c!, tensor: 'c' };
const H_AFTER: Item = { name: 'h_t', read: ({ after }) => after.h };
const C_AFTER: Item = { name: 'c_t', read: ({ after }) => after.c! };

const LINES: Readonly<Record<string, readonly (readonly Item[])[]>> = {
  gru: [['(1 - z) ∘', gate('n'), '+', gate('z'), '∘', H_BEFORE, '=', H_AFTER]],
  lstm: [
    [gate('f'), '∘', C_BEFORE, '+', gate('i'), '∘', gate('g'), '=', C_AFTER],
    [gate('o'), '∘ tanh(c_t)', '=', H_AFTER],
  ],
};

/** By the name of the result: its formula, and its terms for one number. */
const TERMS: Readonly<Record<string, Readonly<Record<string, { readonly is: string; readonly of: (value: (name: string) => number) => string[] }>>>> = {
  gru: {
    h_t: {
      is: '(1 - z) ∘ n + z ∘ h_{t-1}',
      of: (value) => [`(1 − ${term(value('z'))}) × ${term(value('n'))}`, times(value('z'), value('h_{t-1}'))],
    },
  },
  lstm: {
    c_t: {
      is: 'f ∘ c_{t-1} + i ∘ g',
      of: (value) => [times(value('f'), value('c_{t-1}')), times(value('i'), value('g'))],
    },
    h_t: {
      is: 'o ∘ tanh(c_t)',
      of: (value) => [`${term(value('o'))} × tanh(${term(value('c_t'))})`],
    },
  },
};

export class StateUpdate {
  readonly element: HTMLElement;
  readonly #views: readonly (readonly { readonly view: MatrixView; readonly read: Read }[])[];
  readonly #cell: Network['cell'];
  readonly #note: SumNote;
  #step: Step;
  #pointed: { readonly line: number; readonly name: string; readonly place: Place } | undefined;

  constructor({ texts }: Page, { cell }: Network, step: Step, onEdit: OnEdit) {
    this.#cell = cell;
    this.#step = step;
    this.#note = new SumNote(texts);
    this.#note.clear(texts.understand.sum.shortHint);
    const views: { readonly view: MatrixView; readonly read: Read }[][] = [];
    const lines = LINES[cell]!.map((items, line) => {
      views.push([]);
      return el('div', { class: 'line' }, items.map((item) => {
        if (typeof item === 'string') return operator(item);
        const { name, read, tensor } = item;
        const view = new MatrixView(read(step), {
          texts,
          name,
          shape: '(N, H)',
          max: 1,
          onPoint: (place) => this.#point(place && { line, name, place }),
          ...(tensor && { onEdit: (place: Place, value: number) => onEdit(tensor, place, value) }),
        });
        views[line]!.push({ view, read });
        return view.element;
      }));
    });
    this.#views = views;
    this.element = el('div', { class: 'update' }, [...lines, this.#note.element]);
  }

  draw(step: Step): void {
    this.#step = step;
    for (const { view, read } of this.#views.flat()) view.draw(read(step));
    if (this.#pointed) this.#explain();
  }

  /** Lights the same number in all matrices of the line. */
  #point(pointed: { readonly line: number; readonly name: string; readonly place: Place } | undefined): void {
    this.#pointed = pointed;
    this.#views.forEach((views, line) => {
      for (const { view } of views) view.light(pointed?.line === line ? pointed.place : undefined);
    });
    this.#explain();
  }

  #explain(): void {
    if (!this.#pointed) return this.#note.show(undefined);
    const { line, name, place } = this.#pointed;
    const value = (wanted: string) => at(this.#matrix(wanted, line), place.row, place.column);
    const terms = TERMS[this.#cell]?.[name];
    const explanation: Explanation = { name, place, value: value(name) };
    this.#note.show(terms ? { ...explanation, is: terms.is, terms: terms.of(value) } : explanation);
  }

  #matrix(name: string, line: number): Matrix {
    const found = this.#views[line]!.find(({ view }) => view.name === name) ?? this.#views.flat().find(({ view }) => view.name === name);
    return found!.read(this.#step);
  }
}
