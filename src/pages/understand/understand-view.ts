// The view "understand": one step of a recurrent network as an equation of matrices, and the network over time. All numbers are
// what the service has computed.
import { button, el } from '../dom.ts';
import { failureNote } from '../failure.ts';
import type { Page, View, ViewFactory } from '../page.ts';
import { snippetsPanel } from '../snippets-panel.ts';
import { type Gate, gatesOf } from './cells.ts';
import { type Choices, Controls } from './controls.ts';
import { CurvePlot, type Curves, computeCurves, onCurve } from './curve.ts';
import { Equation, type OnEdit } from './equation.ts';
import { formula, prose } from './names.ts';
import { randomNetwork } from './network.ts';
import { Player } from './player.ts';
import { callsOf } from './calls.ts';
import { StateUpdate } from './state-update.ts';
import { SumNote } from './sum-note.ts';
import { TimePicture } from './time-picture.ts';
import { Transport } from './transport.ts';
import { STEPS_MAX, Unrolled } from './unrolled.ts';

/** Steps that are there when the view is opened: enough to see the states change. */
const FIRST_STEPS = 8;
/** Another network takes as many steps as the last one, up to here. */
const STEPS_AGAIN_MAX = 64;
/** Tables of so many columns leave no place beside the equation; of more columns there are heatmaps, which are smaller. */
const WIDE_H = [6, 7, 8];
const FIRST_CHOICES: Choices = { cell: 'rnn', N: 2, D: 3, H: 4, seed: 1, series: 'sine' };

export const understandView: ViewFactory = (page) => new UnderstandView(page);

/** What is shown next: the index of a step, and whether the parts are made anew, as for another network. */
interface Made {
  readonly index: number;
  readonly isOther?: boolean;
}

class UnderstandView implements View {
  readonly element: HTMLElement;
  readonly #page: Page;
  readonly #unrolled: Unrolled;
  readonly #player: Player;
  readonly #note: SumNote;
  readonly #controls: Controls;
  readonly #intro = el('div', { class: 'intro' });
  readonly #picture = el('div', {});
  readonly #timeHolder = el('div', {});
  readonly #failure = el('div', {});
  readonly #transport: Transport;
  readonly #batchRow: HTMLSelectElement;
  readonly #batchField: HTMLElement;
  readonly #curveHolder = el('figure', { class: 'curve-holder' });
  #choices = FIRST_CHOICES;
  #gate: Gate = gatesOf(FIRST_CHOICES.cell)[0]!;
  #index = FIRST_STEPS - 1;
  #control = new AbortController();
  #stepsWanted = 0;
  #curves: Curves | undefined;
  #plot: CurvePlot | undefined;
  #equation: Equation | undefined;
  #update: StateUpdate | undefined;
  #time: TimePicture | undefined;

  constructor(page: Page) {
    this.#page = page;
    const texts = page.texts.understand;
    this.#unrolled = new Unrolled(page.carryover, this.#network(), FIRST_CHOICES.seed);
    this.#note = new SumNote(page.texts);
    this.#controls = new Controls(page, FIRST_CHOICES, (choices, changed) => void this.#choose(choices, changed));
    this.#player = new Player({
      unrolled: this.#unrolled,
      onSteps: () => this.#show(this.#unrolled.steps.length - 1),
      onEnd: (error) => {
        this.#showPlaying();
        this.#showFailure(error);
      },
    });
    this.#transport = new Transport({
      texts: page.texts,
      onReset: () => void this.#reset(),
      onStep: () => this.#step(),
      onPlay: () => this.#togglePlay(),
      onSpeed: (stepsPerSecond) => this.#player.isPlaying && this.#player.play(stepsPerSecond),
    });
    this.#batchRow = el('select', {}, [], { change: () => this.#draw() });
    this.#batchField = el('label', { class: 'batch' }, [texts.run.batchRow, ' ', this.#batchRow]);
    this.element = el('section', { class: 'understand' }, [
      el('h1', {}, texts.title),
      this.#intro,
      this.#controls.element,
      this.#failure,
      this.#picture,
      el('h2', {}, texts.time.title),
      el('p', { class: 'lead' }, prose(texts.time.explanation)),
      this.#batchField,
      this.#timeHolder,
      this.#transport.element,
      snippetsPanel(page, () => callsOf(this.#unrolled, this.#index)),
    ]);
    this.#showIntro();
    this.#open();
  }

  dispose(): void {
    this.#control.abort();
    this.#player.pause();
    this.#time?.dispose();
    this.#plot?.dispose();
  }

  #network() {
    return randomNetwork(this.#choices.cell, this.#choices, this.#choices.seed);
  }

  #open(): void {
    void this.#run(async (signal) => {
      await this.#unrolled.begin(this.#network(), FIRST_STEPS, signal);
      return { index: FIRST_STEPS - 1 };
    });
  }

  /** Shows what the work has made. The last call counts: one that was begun before is ended. */
  async #run(work: (signal: AbortSignal) => Promise<Made | undefined>): Promise<void> {
    this.#player.pause();
    this.#showPlaying();
    this.#control.abort();
    this.#control = new AbortController();
    const { signal } = this.#control;
    try {
      const [made, curves] = await Promise.all([work(signal), this.#curves ?? computeCurves(this.#page.carryover, signal)]);
      signal.throwIfAborted();
      this.#curves = curves;
      this.#showFailure(undefined);
      if (made?.isOther === true) this.#equation = undefined;
      if (made) this.#show(made.index);
    } catch (error) {
      if (!signal.aborted) this.#showFailure(error);
    }
  }

  #choose(choices: Choices, changed: keyof Choices): Promise<void> {
    if (choices.cell !== this.#choices.cell) this.#gate = gatesOf(choices.cell)[0]!;
    this.#choices = choices;
    this.#unrolled.series = choices.series;
    this.#unrolled.seed = choices.seed;
    this.#showIntro();
    return this.#run(async (signal) => {
      const count = Math.min(STEPS_AGAIN_MAX, Math.max(1, this.#unrolled.steps.length));
      if (changed === 'series' && choices.series === 'same') {
        // What is to be repeated is the input that is shown, perhaps one that was typed.
        this.#unrolled.dropAhead();
        return undefined;
      }
      if (changed === 'series') await this.#unrolled.begin(this.#unrolled.network, count, signal);
      else if (changed === 'seed') await this.#unrolled.reweigh(this.#network(), signal);
      else await this.#unrolled.begin(this.#network(), count, signal);
      return { index: Math.min(this.#index, this.#unrolled.steps.length - 1), isOther: true };
    });
  }

  #reset(): Promise<void> {
    return this.#run(async (signal) => {
      await this.#unrolled.begin(this.#unrolled.network, 1, signal);
      return { index: 0 };
    });
  }

  /** A click while the last one is still answered is one more step. */
  #step(): void {
    this.#stepsWanted++;
    if (this.#stepsWanted > 1) return;
    void this.#run(async (signal) => {
      try {
        for (; this.#stepsWanted > 0; this.#stepsWanted--) {
          if (this.#unrolled.aheadCount === 0) await this.#unrolled.fetch(1, signal);
          this.#unrolled.take();
        }
      } finally {
        this.#stepsWanted = 0;
      }
      return { index: this.#unrolled.steps.length - 1 };
    });
  }

  #togglePlay(): void {
    // The first call has failed: it is repeated.
    if (!this.#equation) return this.#open();
    if (this.#player.isPlaying) this.#player.pause();
    else this.#player.play(this.#transport.stepsPerSecond);
    this.#showPlaying();
  }

  readonly #edit: OnEdit = (tensor, place, value) =>
    void this.#run(async (signal) => ({ index: await this.#unrolled.edit(this.#index, tensor, place, value, signal) }));

  /** Makes the parts anew, as for another cell, gate or size. */
  #build(): void {
    const { network, steps } = this.#unrolled;
    const page = this.#page;
    const { texts } = page;
    const step = steps[this.#index]!;
    const gate = this.#gate;
    this.#time?.dispose();
    this.#plot?.dispose();
    const { hint, largeHint } = texts.understand.sum;
    this.#note.clear(network.H > 8 ? largeHint : hint);
    this.#plot = new CurvePlot(this.#curves!, texts.understand.curve.label(gate.activation));
    const about = gate.activation === 'tanh'
      ? texts.understand.curve.tanh(onCurve(this.#curves!, 'tanh', 2).toFixed(3))
      : texts.understand.curve.sigmoid(onCurve(this.#curves!, 'sigmoid', 2).toFixed(3));
    this.#curveHolder.replaceChildren(this.#plot.element, el('figcaption', {}, prose(about)));
    this.#equation = new Equation({ page, network, step, gate, note: this.#note, onEdit: this.#edit, curve: this.#curveHolder });
    const isGated = network.cell !== 'rnn';
    this.#update = isGated ? new StateUpdate(page, network, step, this.#edit) : undefined;
    this.#time = new TimePicture({ page, network, stepsMax: STEPS_MAX, onChoose: (index) => this.#choosePast(index) });
    const gates = texts.understand.gates;
    this.#picture.replaceChildren(...[
      isGated ? el('h2', {}, texts.understand.gatesTitle) : undefined,
      isGated ? this.#gateButtons() : undefined,
      isGated ? el('p', { class: 'lead' }, prose(gates[network.cell as 'gru'][gate.name as 'r'].explanation)) : undefined,
      // Where the equation takes the whole width, the note is kept in sight below it.
      el('div', { class: WIDE_H.includes(network.H) ? 'stage wide' : 'stage' }, [
        this.#equation.element,
        this.#note.element,
      ]),
      this.#update ? el('h2', {}, texts.understand.updateTitle) : undefined,
      this.#update?.element,
    ].filter((part) => part !== undefined));
    this.#timeHolder.replaceChildren(this.#time.element);
    const chosenRow = Math.min(Number(this.#batchRow.value), network.N - 1);
    this.#batchRow.replaceChildren(...Array.from({ length: network.N }, (_, n) => el('option', { value: n, selected: n === chosenRow }, String(n))));
    this.#batchField.hidden = network.N === 1;
    this.#draw();
  }

  #gateButtons(): HTMLElement {
    const { cell } = this.#unrolled.network;
    const { gate: label, gates } = this.#page.texts.understand;
    const buttons = gatesOf(cell).map((gate) =>
      button(`${gate.name} · ${gates[cell as 'gru'][gate.name as 'r'].name}`, () => {
        this.#gate = gate;
        this.#build();
        // The button that was pressed has been made anew.
        this.#picture.querySelector<HTMLElement>('.gates [aria-pressed=true]')?.focus();
      }, { 'aria-pressed': String(gate === this.#gate) }),
    );
    return el('div', { class: 'row gates', role: 'group', 'aria-label': label }, buttons);
  }

  #choosePast(index: number): void {
    this.#player.pause();
    this.#showPlaying();
    this.#show(index);
  }

  #show(index: number): void {
    this.#index = index;
    if (this.#equation) this.#draw();
    else this.#build();
  }

  #draw(): void {
    const { network, steps } = this.#unrolled;
    const step = steps[this.#index];
    if (!step || !this.#equation) return;
    this.#equation.draw(network, step);
    this.#update?.draw(step);
    this.#plot?.draw(this.#gate.activation, step.z[this.#gate.name]!, step.values[this.#gate.name]!);
    this.#time!.draw(steps, this.#index, Number(this.#batchRow.value));
    this.#transport.showPosition(this.#index + 1, steps.length);
  }

  #showIntro(): void {
    const { name, explanation, formulas } = this.#page.texts.understand.cells[this.#choices.cell];
    this.#intro.replaceChildren(el('p', { class: 'lead' }, prose(explanation)), el('div', { class: 'formulas', role: 'group', 'aria-label': name }, formulas.map((text) => el('div', {}, [formula(text)]))));
  }

  #showPlaying(): void {
    this.#transport.showPlaying(this.#player.isPlaying);
  }

  #showFailure(error: unknown): void {
    this.#failure.replaceChildren(...(error === undefined ? [] : [failureNote(this.#page, error)]));
  }
}
