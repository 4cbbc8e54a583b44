// What is drawn of a network in the view "understand": the equation of a step with its curve, what gates make of it, and the
// states of all steps.
import { button, el } from '../dom.ts';
import type { Page } from '../page.ts';
import { type Gate, gatesOf } from './cells.ts';
import { CurvePlot, type Curves, computeCurves, onCurve } from './curve.ts';
import { Equation, type OnEdit } from './equation.ts';
import { prose } from './names.ts';
import type { Network } from './network.ts';
import { StateUpdate } from './state-update.ts';
import type { Step } from './steps.ts';
import { SumNote } from './sum-note.ts';
import { TimePicture } from './time-picture.ts';
import { STEPS_MAX } from './unrolled.ts';

/** Tables of so many columns leave no place beside the equation; of more columns there are heatmaps, which are smaller. */
const WIDE_H = [6, 7, 8];

/** What is shown: a network, all its steps, and the index of one of them. */
export interface Scenery {
  readonly network: Network;
  readonly steps: readonly Step[];
  readonly index: number;
}

export interface PictureOptions {
  readonly page: Page;
  readonly onEdit: OnEdit;
  /** Called with the index of the step that was chosen. */
  readonly onChoose: (index: number) => void;
}

export class Picture {
  readonly element = el('div', {});
  /** The network over time, which stands apart. */
  readonly timeElement: HTMLElement;
  readonly #options: PictureOptions;
  readonly #note: SumNote;
  readonly #batchRow: HTMLSelectElement;
  readonly #batchField: HTMLElement;
  readonly #timeHolder = el('div', {});
  readonly #curveHolder = el('figure', { class: 'curve-holder' });
  #scenery: Scenery | undefined;
  #gate: Gate | undefined;
  #curves: Curves | undefined;
  #isCurveAwaited = false;
  #plot: CurvePlot | undefined;
  #equation: Equation | undefined;
  #update: StateUpdate | undefined;
  #time: TimePicture | undefined;

  constructor(options: PictureOptions) {
    this.#options = options;
    const { texts } = options.page;
    this.#note = new SumNote(texts);
    this.#batchRow = el('select', {}, [], { change: () => this.#draw() });
    this.#batchField = el('label', { class: 'batch' }, [texts.understand.run.batchRow, ' ', this.#batchRow]);
    this.timeElement = el('div', {}, [this.#batchField, this.#timeHolder]);
  }

  dispose(): void {
    this.#time?.dispose();
    this.#plot?.dispose();
  }

  /** Another step of the network, or the network with other numbers. */
  draw(scenery: Scenery): void {
    this.#scenery = scenery;
    this.#draw();
  }

  /** Another network: a cell with other gates, or other sizes. */
  build(scenery: Scenery): void {
    if (scenery.network.cell !== this.#scenery?.network.cell) this.#gate = gatesOf(scenery.network.cell)[0]!;
    this.#scenery = scenery;
    this.#build();
  }

  /**
   * Adds the curve, if it is not there: it needs a call of its own, and uPlot, which takes longer to be ready than all else.
   *
   * @throws CarryoverError, or the reason of the signal
   */
  async addCurve(signal: AbortSignal): Promise<void> {
    if (this.#curves || this.#isCurveAwaited || !this.#scenery) return;
    this.#isCurveAwaited = true;
    try {
      this.#curves = await computeCurves(this.#options.page, signal);
    } finally {
      this.#isCurveAwaited = false;
    }
    signal.throwIfAborted();
    this.#buildCurve();
    this.#draw();
  }

  #build(): void {
    const { network, steps, index } = this.#scenery!;
    const { page, onEdit, onChoose } = this.#options;
    const texts = page.texts.understand;
    const step = steps[index]!;
    const gate = this.#gate!;
    this.#note.clear(network.H > 8 ? texts.sum.largeHint : texts.sum.hint);
    this.#buildCurve();
    this.#equation = new Equation({ page, network, step, gate, note: this.#note, onEdit, curve: this.#curveHolder });
    const isGated = network.cell !== 'rnn';
    this.#update = isGated ? new StateUpdate(page, network, step, onEdit) : undefined;
    this.element.replaceChildren(...[
      isGated ? el('h2', {}, texts.gatesTitle) : undefined,
      isGated ? this.#gateButtons() : undefined,
      isGated ? el('p', { class: 'lead' }, prose(texts.gates[network.cell as 'gru'][gate.name as 'r'].explanation)) : undefined,
      // Where the equation takes the whole width, the note is kept in sight below it.
      el('div', { class: WIDE_H.includes(network.H) ? 'stage wide' : 'stage' }, [this.#equation.element, this.#note.element]),
      this.#update ? el('h2', {}, texts.updateTitle) : undefined,
      this.#update?.element,
    ].filter((part) => part !== undefined));
    this.#time?.dispose();
    this.#time = new TimePicture({ page, network, stepsMax: STEPS_MAX, onChoose });
    this.#timeHolder.replaceChildren(this.#time.element);
    const chosenRow = Math.min(Number(this.#batchRow.value), network.N - 1);
    this.#batchRow.replaceChildren(...Array.from({ length: network.N }, (_, n) => el('option', { value: n, selected: n === chosenRow }, String(n))));
    this.#batchField.hidden = network.N === 1;
    this.#draw();
  }

  #buildCurve(): void {
    if (!this.#curves) return;
    const texts = this.#options.page.texts.understand.curve;
    const { activation } = this.#gate!;
    const atTwo = onCurve(this.#curves, activation, 2).toFixed(3);
    this.#plot?.dispose();
    this.#plot = new CurvePlot(this.#curves, texts.label(activation));
    this.#curveHolder.replaceChildren(this.#plot.element, el('figcaption', {}, prose(activation === 'tanh' ? texts.tanh(atTwo) : texts.sigmoid(atTwo))));
  }

  #gateButtons(): HTMLElement {
    const { cell } = this.#scenery!.network;
    const { gate: label, gates } = this.#options.page.texts.understand;
    const buttons = gatesOf(cell).map((gate) =>
      button(`${gate.name} · ${gates[cell as 'gru'][gate.name as 'r'].name}`, () => {
        this.#gate = gate;
        this.#build();
        // The button that was pressed has been made anew.
        this.element.querySelector<HTMLElement>('.gates [aria-pressed=true]')?.focus();
      }, { 'aria-pressed': String(gate === this.#gate) }),
    );
    return el('div', { class: 'row gates', role: 'group', 'aria-label': label }, buttons);
  }

  #draw(): void {
    const { network, steps, index } = this.#scenery!;
    const step = steps[index]!;
    const { activation, name } = this.#gate!;
    this.#equation!.draw(network, step);
    this.#update?.draw(step);
    this.#plot?.draw(activation, step.z[name]!, step.values[name]!);
    this.#time!.draw(steps, index, Number(this.#batchRow.value));
  }
}
