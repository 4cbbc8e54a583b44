// A model whose x are numbers: its forecast of each step beside the data, its states, and what it makes of a future.
import type { CellStates, States } from '../../client/index.ts';
import { isAbort } from '../attempts.ts';
import { button, el, liveText } from '../dom.ts';
import { onceAFrame } from '../frames.ts';
import { canStep } from '../layers.ts';
import { shortNumber } from '../numbers.ts';
import type { View } from '../page.ts';
import { carryoverOf } from '../service.ts';
import { SESSION, type SnippetCall } from '../snippets.ts';
import { snippetsPanel } from '../snippets-panel.ts';
import { rmseOfSecondHalf } from './forecast-error.ts';
import { SeriesChart } from './series-chart.ts';
import { SeriesFutures } from './series-futures.ts';
import { SeriesSource } from './series-source.ts';
import { seriesTable } from './series-table.ts';
import { StatesPicture, lastState } from './states.ts';
import type { TryOptions } from './try-options.ts';

/** Rows of x in the programs to copy: the last ones. */
const SNIPPET_ROWS_MAX = 500;

export function seriesView(options: TryOptions): View {
  const view = new SeriesView(options);
  return { element: view.element, dispose: () => view.dispose() };
}

class SeriesView {
  readonly element: HTMLElement;
  readonly #options: TryOptions;
  readonly #source: SeriesSource;
  readonly #chart: SeriesChart;
  readonly #picture: StatesPicture;
  readonly #futures: SeriesFutures;
  readonly #said = liveText({ class: 'weak' });
  readonly #stop: HTMLButtonElement;
  readonly #draw = onceAFrame(() => this.#drawNow());
  readonly #forecastSoon = onceAFrame(() => void this.#forecast());
  #stream = new AbortController();
  /** After each step of the data. */
  #hs: Float32Array[] = [];
  #ys: (Float32Array | undefined)[] = [];

  constructor(options: TryOptions) {
    const { page, attempts, model, session } = options;
    const { try: texts } = page.texts;
    this.#options = options;
    this.#source = new SeriesSource({ page, attempts, model, onChange: () => this.#onData() });
    this.#picture = new StatesPicture(page.texts);
    this.#chart = new SeriesChart({ texts: page.texts, onDraw: (t, value) => this.#source.draw(t, value), onPoint: (t) => this.#picture.light(t) });
    this.#futures = new SeriesFutures({ page, attempts, model, source: this.#source, onChange: this.#draw });
    this.#stop = button(texts.stop, () => this.#stream.abort(), { disabled: true });
    const draw = button(texts.draw, () => {
      const isDrawing = draw.getAttribute('aria-pressed') !== 'true';
      draw.setAttribute('aria-pressed', String(isDrawing));
      this.#chart.setDrawing(isDrawing);
    }, { 'aria-pressed': 'false' });
    this.element = el('div', {}, [
      el('div', { class: 'beside' }, [this.#source.element, options.layers]),
      el('div', { class: 'row' }, [
        button(model.O === undefined ? texts.compute : texts.forecast, () => void this.#forecast(), { class: 'primary' }),
        this.#stop,
        draw,
        this.#said,
      ]),
      this.#chart.element,
      this.#picture.element,
      seriesTable(page.texts, () => this.#lines()),
      canStep(model) ? this.#futures.element : el('p', { class: 'weak' }, texts.noSessions),
      snippetsPanel(page, () => this.#calls()),
    ]);
    if (session) void attempts.run(() => this.#futures.open(session));
    else void attempts.run(() => this.#source.takeFirst());
  }

  dispose(): void {
    this.#chart.dispose();
  }

  /** What was computed was of other data. */
  #onData(): void {
    this.#draw();
    // A session that was opened without data goes on.
    if (this.#source.T === 0) return;
    this.#futures.clear();
    this.#forecastSoon();
  }

  /** Draws each step as it is answered; one that is still being answered ends. */
  async #forecast(): Promise<void> {
    const { page: { texts }, attempts } = this.#options;
    this.#stream.abort();
    const stream = new AbortController();
    this.#stream = stream;
    const x = this.#source.x;
    if (x.length === 0) return;
    this.#futures.clear();
    this.#hs = [];
    this.#ys = [];
    this.#said.textContent = texts.try.progress(0, x.length);
    this.#stop.disabled = false;
    await attempts.run(async () => {
      const signal = AbortSignal.any([attempts.signal, stream.signal]);
      try {
        await this.#compute(x, signal);
      } catch (error) {
        if (!isAbort(error) || attempts.signal.aborted) throw error;
      }
    });
    // Another may have begun meanwhile.
    if (this.#stream !== stream) return;
    this.#stop.disabled = true;
    this.#said.textContent = this.#errorText() ?? texts.try.progress(this.#hs.length, x.length);
    this.#draw();
  }

  async #compute(x: readonly (readonly number[])[], signal: AbortSignal): Promise<void> {
    const { page, model } = this.#options;
    const { texts } = page;
    const carryover = carryoverOf(page);
    const input = { model: model.id, x: x.map((row) => [row]) };
    if (!canStep(model)) {
      const { hs, ys } = await carryover.sequence(input, { signal });
      const [H = 0, O = 0] = [hs?.shape[2], ys?.shape[2]];
      this.#hs = x.map((_, t) => hs!.data.subarray(t * H, (t + 1) * H));
      this.#ys = x.map((_, t) => ys?.data.subarray(t * O, (t + 1) * O));
      return;
    }
    for await (const item of carryover.streamSequence(input, { signal })) {
      if (item.done) {
        this.#futures.beginAt(endOf(item), this.#ys.at(-1));
      } else {
        this.#hs.push(lastState(item.h!));
        this.#ys.push(item.y?.data);
        this.#said.textContent = texts.try.progress(item.t, x.length);
      }
      this.#draw();
    }
  }

  #drawNow(): void {
    const lines = this.#lines();
    this.#chart.draw(lines);
    this.#picture.draw([...this.#hs, ...this.#futures.states], Math.max(lines.data.length, lines.forecast.length, lines.A.length, lines.B.length));
  }

  #lines() {
    const { compared, labels } = this.#source;
    return { labels, data: compared, forecast: this.#forecasts(), ...this.#futures.lines() };
  }

  /** That of step t is what the model answered to step t - 1. */
  #forecasts(): (number | null)[] {
    const { output, unit } = this.#source;
    return [null, ...this.#ys.map((y) => (y ? y[output]! * unit : null))];
  }

  #errorText(): string | undefined {
    const { compared } = this.#source;
    if (this.#hs.length < compared.length) return undefined;
    const [model, persistence] = [this.#forecasts(), [null, ...compared]].map((forecast) => rmseOfSecondHalf(compared, forecast));
    if (model === undefined || persistence === undefined) return undefined;
    return this.#options.page.texts.try.error(shortNumber(model), shortNumber(persistence));
  }

  #calls(): SnippetCall[] {
    const { ref, model } = this.#options;
    const x = this.#source.x.slice(-SNIPPET_ROWS_MAX).map((row) => [row]);
    const steps = this.#futures.steps;
    if (steps.length === 0) return [{ method: 'POST', path: '/v1/sequence', body: { model: ref, x, outputs: [model.O === undefined ? 'hs' : 'ys'] } }];
    return [
      { method: 'POST', path: '/v1/sessions', body: { model: ref }, isSession: true },
      ...(x.length > 0 ? [{ method: 'POST', path: '/v1/sequence', body: { session: SESSION, x, outputs: ['h'] } } as const] : []),
      ...steps.map((x) => ({ method: 'POST', path: '/v1/step', body: { session: SESSION, x: [x] } }) as const),
      { method: 'DELETE', path: `/v1/sessions/${SESSION}` },
    ];
  }
}

function endOf({ h, c }: { readonly h?: States; readonly c?: CellStates }) {
  return { h: h!, ...(c && { c }) };
}
