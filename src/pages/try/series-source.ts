// Where the data of a series comes from: a sample, a wave, a file, pasted numbers or a drawing; and which columns are x.
import type { ModelInfo } from '../../client/index.ts';
import type { Attempts } from '../attempts.ts';
import { SAMPLES } from '../built-in.ts';
import { button, el, field, liveText } from '../dom.ts';
import { onFileDrop } from '../file-drop.ts';
import type { Page } from '../page.ts';
import { type Series, parseCsv } from './csv.ts';

export interface SeriesSourceOptions {
  readonly page: Page;
  readonly attempts: Attempts;
  readonly model: ModelInfo;
  /** Called when the data or what is made of it has changed. */
  readonly onChange: () => void;
}

/** Inputs whose columns are chosen one by one; of more the last D columns are taken. */
const CHOSEN_MAX = 12;
const WAVE = { steps: 120, period: 24 };

export class SeriesSource {
  readonly element: HTMLElement;
  readonly #options: SeriesSourceOptions;
  readonly #said = liveText({ class: 'weak' });
  readonly #columns = el('div', { class: 'row form' });
  readonly #unit: HTMLInputElement;
  #rows: number[][] = [];
  #series: Series = { columns: [], rows: [], leftOut: [] };
  /** Of each input its column. */
  #inputs: number[] = [];
  #compared = 0;
  #output = 0;

  constructor(options: SeriesSourceOptions) {
    const { page: { texts: { try: texts } }, attempts } = options;
    this.#options = options;
    this.#unit = el('input', { type: 'number', step: 'any', value: SAMPLES.get(this.#sample ?? '')?.unit ?? 1 }, [], { change: () => options.onChange() });
    this.#columns.append(field(texts.unit, this.#unit));
    const name = this.#sample;
    const file = el('input', { type: 'file', accept: '.csv,.txt,.tsv,text/csv,text/plain' }, [], {
      change: () => file.files?.[0] && this.#readFile(file.files[0]),
    });
    const pasted = el('textarea', { rows: 4, cols: 40, spellcheck: 'false' });
    const paste = el('details', {}, [
      el('summary', {}, texts.paste),
      field(texts.pasteLabel, pasted),
      el('p', {}, [button(texts.take, () => void attempts.run(async () => this.#take(pasted.value, texts.paste)))]),
    ]);
    this.element = el('div', { class: 'panel' }, [
      el('h2', {}, texts.data),
      el('p', { class: 'weak' }, texts.dataExplanation),
      el('div', { class: 'row form' }, [
        name === undefined ? undefined : button(texts.samples[name]!, () => void attempts.run(() => this.#takeSample(name))),
        button(texts.wave, () => void attempts.run(async () => this.#takeWave())),
        field(texts.file, file),
      ]),
      paste,
      this.#columns,
      this.#said,
    ]);
    onFileDrop(attempts.signal, (dropped, files) => {
      file.files = files;
      this.#readFile(dropped);
    });
  }

  /** Takes the sample of the model, else a wave. @throws TypeError if it cannot be loaded */
  async takeFirst(): Promise<void> {
    const name = this.#sample;
    if (name === undefined) this.#takeWave();
    else await this.#takeSample(name);
  }

  /** The name of the model, if there is a sample for it. */
  get #sample(): string | undefined {
    return this.#options.model.names.find((name) => SAMPLES.has(name));
  }

  get labels(): readonly string[] | undefined {
    return this.#series.labels;
  }

  get T(): number {
    return this.#rows.length;
  }

  /** x is the data divided by it. */
  get unit(): number {
    const unit = Number(this.#unit.value);
    return Number.isFinite(unit) && unit !== 0 ? unit : 1;
  }

  /** (T, D), as the model takes it. */
  get x(): number[][] {
    return this.#rows.map((row) => this.#inputs.map((column) => row[column]! / this.unit));
  }

  /** Of each step the column that y is compared with. */
  get compared(): number[] {
    return this.#rows.map((row) => row[this.#compared]!);
  }

  /** Which of the outputs is shown. */
  get output(): number {
    return this.#output;
  }

  /** The inputs of a step, not divided by the unit; of the last step if absent. */
  inputsOf(row: readonly number[] | undefined = this.#rows.at(-1)): number[] {
    return this.#inputs.map((column) => row?.[column] ?? 0);
  }

  /** The value of the compared column that a step's inputs have; undefined if it is none of them. */
  comparedOf(inputs: readonly number[]): number | undefined {
    const k = this.#inputs.indexOf(this.#compared);
    return k < 0 ? undefined : inputs[k];
  }

  /** Gives the shown column another value. */
  draw(t: number, value: number): void {
    this.#rows[t]![this.#compared] = value;
    this.#options.onChange();
  }

  #readFile(file: File): void {
    void this.#options.attempts.run(async () => this.#take(await file.text(), file.name));
  }

  async #takeSample(name: string): Promise<void> {
    const { texts: { try: texts } } = this.#options.page;
    const response = await fetch(SAMPLES.get(name)!.address, { signal: this.#options.attempts.signal });
    this.#take(await response.text(), texts.samples[name]!);
  }

  #takeWave(): void {
    const { model: { D }, page: { texts } } = this.#options;
    const rows = Array.from({ length: WAVE.steps }, (_, t) =>
      Array.from({ length: D }, (_, k) => Math.round(1e4 * Math.sin((2 * Math.PI * t) / WAVE.period + k)) / 1e4),
    );
    this.#use({ columns: Array.from({ length: D }, (_, k) => `${k + 1}`), rows, leftOut: [] }, texts.try.wave);
  }

  /** Data for a built-in model is in the units of its sample. */
  #take(text: string, name: string): void {
    const series = parseCsv(text);
    const { page: { texts }, model: { D } } = this.#options;
    const { unit, compared } = SAMPLES.get(this.#sample ?? '') ?? {};
    if (!series) throw new Error(texts.try.noNumbers);
    if (series.columns.length < D) throw new Error(texts.try.tooFewColumns(D, series.columns.length));
    this.#use(series, name, unit, compared);
  }

  #use(series: Series, name: string, unit = 1, compared?: string): void {
    const { page: { texts: { try: texts } }, model: { D } } = this.#options;
    this.#series = series;
    this.#rows = series.rows.map((row) => [...row]);
    // Columns that count years and months stand in front.
    const first = series.columns.length - D;
    this.#inputs = Array.from({ length: D }, (_, k) => first + k);
    this.#compared = Math.max(first, series.columns.indexOf(compared ?? ''));
    this.#output = 0;
    this.#unit.value = String(unit);
    this.#said.textContent = texts.rows(series.rows.length, name) + (series.leftOut.length > 0 ? ` ${texts.leftOut(series.leftOut.join(', '))}` : '');
    this.#showColumns();
    this.#options.onChange();
  }

  #showColumns(): void {
    const { page: { texts: { try: texts } }, model: { D, O = 0 } } = this.#options;
    const { columns } = this.#series;
    const outputs = Array.from({ length: O }, (_, k) => texts.outputName(k + 1));
    const hasChoice = columns.length > 1;
    this.#columns.replaceChildren(
      ...(hasChoice && D <= CHOSEN_MAX
        ? this.#inputs.map((column, k) => choice(D === 1 ? texts.columns : texts.input(k + 1), columns, column, (chosen) => (this.#inputs[k] = chosen), this.#options.onChange))
        : []),
      field(texts.unit, this.#unit),
      ...(hasChoice ? [choice(texts.compared, columns, this.#compared, (chosen) => (this.#compared = chosen), this.#options.onChange)] : []),
      ...(O > 1 ? [choice(texts.output, outputs, 0, (chosen) => (this.#output = chosen), this.#options.onChange)] : []),
    );
  }
}

function choice(label: string, names: readonly string[], chosen: number, choose: (index: number) => void, onChange: () => void): HTMLElement {
  const select = el('select', {}, names.map((name, k) => el('option', { value: k, selected: k === chosen }, name)), {
    change: () => {
      choose(Number(select.value));
      onChange();
    },
  });
  return field(label, select);
}
