// The sum of a gate, or of a cell without gates, as an equation of matrices: two products, a bias, their sum z and its activation.
// Pointing at a number lights what it is made of, and writes it out.
import { type Child, el } from '../dom.ts';
import type { Page } from '../page.ts';
import type { Gate } from './cells.ts';
import type { Place } from './matrix.ts';
import { MatrixView } from './matrix-view.ts';
import { formula, prose } from './names.ts';
import type { Network } from './network.ts';
import { type Part, SHAPES, type Scene, activationOf, explain, firstColumnOf, isReset, litWith, matrixOf, nameOf } from './parts.ts';
import type { Step } from './steps.ts';
import type { SumNote } from './sum-note.ts';
import type { Editable } from './unrolled.ts';

export type OnEdit = (tensor: Editable, place: Place, value: number) => void;

const WEIGHTS: readonly Part[] = ['W_h', 'W_x', 'b'];
const EDITABLE: readonly Part[] = ['h', 'x', ...WEIGHTS];

export interface EquationOptions extends Scene {
  readonly page: Page;
  readonly note: SumNote;
  readonly onEdit: OnEdit;
  /** Of the activation, which stands beside it. */
  readonly curve: HTMLElement;
}

export class Equation {
  readonly element: HTMLElement;
  readonly #options: EquationOptions;
  readonly #views = new Map<Part, MatrixView>();
  #scene: Scene;
  #pointed: { readonly part: Part; readonly place: Place } | undefined;

  constructor(options: EquationOptions) {
    this.#options = options;
    const { network, gate, step, curve } = options;
    const { lines } = options.page.texts.understand;
    this.#scene = { network, gate, step };
    const isSplit = step.products !== undefined;
    const remembered = this.#factors(lines.memory, [isReset(this.#scene) ? operator('r ∘') : undefined, this.#matrix('h'), operator('·'), this.#matrix('W_h')]);
    const firstProduct = isSplit ? [this.#result('=', 'h_W_h')] : [];
    const read = this.#factors(lines.input, [isSplit ? undefined : operator('+'), this.#matrix('x'), operator('·'), this.#matrix('W_x')]);
    const secondProduct = isSplit ? [this.#result('+', 'x_W_x')] : [];
    const results = [this.#result('+', 'b'), this.#result('=', 'z'), this.#result(activationOf(gate), 'value')];
    this.element = el('div', { class: isSplit ? 'equation split' : 'equation' }, [
      remembered, ...firstProduct, read, ...secondProduct, el('div', { class: 'results' }, results), curve,
    ]);
  }

  draw(network: Network, step: Step): void {
    const areSameWeights = network === this.#scene.network;
    this.#scene = { ...this.#scene, network, step };
    for (const [part, view] of this.#views) {
      if (!areSameWeights || !WEIGHTS.includes(part)) view.draw(matrixOf(part, this.#scene));
    }
    if (this.#pointed) this.#explain();
  }

  #matrix(part: Part): HTMLElement {
    const { page, gate, onEdit } = this.#options;
    const edit = (place: Place, value: number) => onEdit(part as Editable, this.#placeInNetwork(part, gate, place), value);
    const view = new MatrixView(matrixOf(part, this.#scene), {
      texts: page.texts,
      name: nameOf(part, this.#scene),
      shape: SHAPES[part],
      ...(!WEIGHTS.includes(part) && { max: 1 }),
      ...(part === 'b' && { isBroadcast: true, remark: page.texts.understand.lines.bias }),
      onPoint: (place) => this.#point(part, place),
      ...(EDITABLE.includes(part) && { onEdit: edit }),
    });
    this.#views.set(part, view);
    return view.element;
  }

  #factors(text: string, line: readonly Child[]): HTMLElement {
    return el('div', { class: 'factors' }, [el('p', { class: 'weak' }, prose(text)), el('div', { class: 'line' }, line)]);
  }

  #result(sign: string, part: Part): HTMLElement {
    return el('div', { class: 'result' }, [operator(sign), this.#matrix(part)]);
  }

  /** The weights of all gates are one matrix. */
  #placeInNetwork(part: Part, gate: Gate, { row, column }: Place): Place {
    const isOfGate = WEIGHTS.includes(part);
    return { row, column: isOfGate ? firstColumnOf(gate, this.#scene.network) + column : column };
  }

  #point(part: Part, place: Place | undefined): void {
    this.#pointed = place && { part, place };
    const lit = place && litWith(part, place);
    for (const [one, view] of this.#views) view.light(lit?.get(one));
    this.#explain();
  }

  #explain(): void {
    this.#options.note.show(this.#pointed && explain(this.#pointed.part, this.#pointed.place, this.#scene));
  }
}

export function operator(sign: string): HTMLElement {
  return el('span', { class: 'operator' }, [formula(sign)]);
}
