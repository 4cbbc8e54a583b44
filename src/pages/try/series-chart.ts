// The data and its forecasts as lines over the steps; the data may be drawn anew with a pointer or with the keyboard.
import uPlot from 'uplot';
import { el, liveText } from '../dom.ts';
import { shortNumber } from '../numbers.ts';
import type { Texts } from '../texts/en.ts';

export interface ChartLines {
  /** What the steps are called; their numbers if absent. */
  readonly labels?: readonly string[] | undefined;
  /** One number a step; those that are not there are null. Each may be shorter than another. */
  readonly data: readonly (number | null)[];
  readonly forecast: readonly (number | null)[];
  readonly A: readonly (number | null)[];
  readonly B: readonly (number | null)[];
}

export interface ChartOptions {
  readonly texts: Texts;
  /** Called while the data is drawn. @param t counted from 0 */
  readonly onDraw: (t: number, value: number) => void;
  /** Called with the step under the pointer, counted from 0. */
  readonly onPoint: (t: number | undefined) => void;
}

const LINES = ['data', 'forecast', 'A', 'B'] as const;
const COLORS = { data: '--ink-weak', forecast: '--accent', A: '--positive', B: '--good' } as const;
const HEIGHT = 260;
/** Pictures below leave the same places on the left and on the right (style.css), so that steps stand below each other. */
const AXIS_WIDTH = 56;
const PADDING_RIGHT = 8;
/** Presses of a key from the bottom of the chart to its top. */
const KEY_STEPS = 40;

export class SeriesChart {
  readonly element: HTMLElement;
  readonly #options: ChartOptions;
  readonly #plot: uPlot;
  readonly #said = liveText({ class: 'weak' });
  readonly #probe = el('span', { hidden: true });
  readonly #resize: ResizeObserver;
  readonly #theme: MutationObserver;
  #lines: ChartLines = { data: [], forecast: [], A: [], B: [] };
  #isDrawing = false;
  /** The axis keeps its range while a line is drawn, or it would move under the pointer. */
  #range: readonly [number, number] = [-1, 1];
  #cursor = 0;

  constructor(options: ChartOptions) {
    this.#options = options;
    const holder = el('div', { class: 'chart' });
    this.element = el('div', {}, [this.#probe, holder, this.#said]);
    this.#plot = new uPlot(this.#plotOptions(), [[], [], [], [], []], holder);
    this.#resize = new ResizeObserver(() => {
      if (holder.clientWidth > 0) this.#plot.setSize({ width: holder.clientWidth, height: HEIGHT });
    });
    this.#resize.observe(holder);
    this.#theme = new MutationObserver(() => this.#plot.redraw());
    this.#theme.observe(document.documentElement, { attributes: true });
    this.#listen();
  }

  draw(lines: ChartLines): void {
    this.#lines = lines;
    const length = Math.max(...LINES.map((name) => lines[name].length));
    const padded = LINES.map((name) => [...lines[name], ...Array<null>(length - lines[name].length).fill(null)]);
    this.#plot.setData([Array.from({ length }, (_, t) => t), ...padded]);
    this.#describe();
  }

  setDrawing(isDrawing: boolean): void {
    const { min = -1, max = 1 } = this.#plot.scales['y'] ?? {};
    this.#range = [min ?? -1, max ?? 1];
    this.#isDrawing = isDrawing;
    this.#plot.over.classList.toggle('drawing', isDrawing);
    this.#said.textContent = isDrawing ? this.#options.texts.try.drawing : '';
    this.#describe();
  }

  dispose(): void {
    this.#resize.disconnect();
    this.#theme.disconnect();
    this.#plot.destroy();
  }

  #plotOptions(): uPlot.Options {
    const { texts, onPoint } = this.#options;
    const names = texts.try.lines;
    const axis: uPlot.Axis = {
      stroke: () => this.#colorOf('--ink-weak'),
      grid: { stroke: () => this.#colorOf('--line'), width: 1 },
      ticks: { stroke: () => this.#colorOf('--line'), width: 1 },
    };
    return {
      width: 600,
      height: HEIGHT,
      padding: [10, PADDING_RIGHT, 0, 0],
      // Half a step around the first and the last, as the columns of a picture have.
      scales: { x: { time: false, range: (_, min, max) => [min - 0.5, max + 0.5] }, y: { range: (_, min, max) => this.#rangeOf(min, max) } },
      axes: [
        { ...axis, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000], space: 90, values: (_, ts) => ts.map((t) => this.#labelOf(t)) },
        { ...axis, size: AXIS_WIDTH, values: (_, values) => values.map(shortNumber) },
      ],
      series: [
        { label: names.step, value: (_, t) => (t === null ? '–' : this.#labelOf(t)) },
        ...LINES.map((name) => ({
          label: names[name],
          stroke: () => this.#colorOf(COLORS[name]),
          width: name === 'data' ? 1.5 : 2,
          ...(name === 'B' && { dash: [6, 4] }),
          class: `line-${name}`,
          points: { show: false },
          value: (_: uPlot, value: number | null) => (value === null ? '–' : shortNumber(value)),
        })),
      ],
      cursor: { drag: { x: false, y: false } },
      hooks: { setCursor: [({ cursor }) => onPoint(cursor.idx ?? undefined)] },
    };
  }

  #rangeOf(min: number | null, max: number | null): [number, number] {
    if (this.#isDrawing) return [...this.#range];
    if (min === null || max === null) return [-1, 1];
    const [low, high] = uPlot.rangeNum(min, max, 0.1, true);
    return [low ?? -1, high ?? 1];
  }

  #labelOf(t: number): string {
    if (!Number.isInteger(t)) return '';
    const { labels } = this.#lines;
    if (!labels) return String(t + 1);
    return labels[t] ?? `+${t - labels.length + 1}`;
  }

  /** As it is now: the variable has a colour for light and one for dark. */
  #colorOf(variable: string): string {
    this.#probe.style.color = `var(${variable})`;
    return getComputedStyle(this.#probe).color;
  }

  #listen(): void {
    const { over } = this.#plot;
    let last: readonly [t: number, value: number] | undefined;
    const drawTo = (event: PointerEvent) => {
      const { left, top } = over.getBoundingClientRect();
      const t = Math.max(0, Math.min(this.#lines.data.length - 1, Math.round(this.#plot.posToVal(event.clientX - left, 'x'))));
      const value = this.#plot.posToVal(event.clientY - top, 'y');
      // The pointer may pass over several steps between two events.
      const [from, before] = last ?? [t, value];
      for (let k = Math.min(from, t); k <= Math.max(from, t); k++) {
        this.#options.onDraw(k, from === t ? value : before + ((value - before) * (k - from)) / (t - from));
      }
      last = [t, value];
    };
    over.addEventListener('pointerdown', (event) => {
      if (!this.#isDrawing || this.#lines.data.length === 0) return;
      over.setPointerCapture(event.pointerId);
      last = undefined;
      drawTo(event);
    });
    over.addEventListener('pointermove', (event) => {
      if (this.#isDrawing && over.hasPointerCapture(event.pointerId)) drawTo(event);
    });
    this.#wrap.addEventListener('keydown', (event) => this.#onKey(event));
  }

  #onKey(event: KeyboardEvent): void {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    const count = this.#lines.data.length;
    if (!move || count === 0) return;
    event.preventDefault();
    this.#cursor = Math.max(0, Math.min(count - 1, this.#cursor + move[0]!));
    const [low, high] = this.#range;
    const value = (this.#lines.data[this.#cursor] ?? 0) + (move[1]! * (high - low)) / KEY_STEPS;
    if (this.#isDrawing && move[1] !== 0) this.#options.onDraw(this.#cursor, value);
    this.#plot.setCursor({ left: this.#plot.valToPos(this.#cursor, 'x'), top: this.#plot.valToPos(value, 'y') });
    const shown = this.#lines.data[this.#cursor];
    if (typeof shown === 'number') this.#said.textContent = this.#options.texts.try.drawn(this.#cursor + 1, shortNumber(shown));
  }

  get #wrap(): HTMLElement {
    return this.#plot.root.querySelector<HTMLElement>('.u-wrap')!;
  }

  #describe(): void {
    const attributes = { tabindex: '0', role: this.#isDrawing ? 'application' : 'img', 'aria-label': this.#options.texts.try.chart(this.#lines.data.length) };
    for (const [name, value] of Object.entries(attributes)) this.#wrap.setAttribute(name, value);
  }
}

