// The network unrolled: its input and its states over all steps, one column a step, time to the right. A step is chosen by a click
// or with the arrow keys.
import { type Rgba, colorOf } from '../colors.ts';
import { el } from '../dom.ts';
import { shortNumber } from '../numbers.ts';
import type { Page } from '../page.ts';
import { formula, plainName } from './names.ts';
import type { Network } from './network.ts';
import type { Step } from './steps.ts';
import { cssColor, onThemeChange } from './theme.ts';
import { CELLS } from './cells.ts';
import type { Matrix } from './matrix.ts';

const COLUMN_PIXELS_MAX = 28;
const STRIP_PIXELS_MAX = 256;
const ROW_PIXELS_MAX = 18;

interface Strip {
  /** What the number of its rows is called. */
  readonly size: 'D' | 'H';
  readonly rows: number;
  readonly read: (step: Step) => Matrix;
  /** One pixel a number, all steps. */
  readonly small: OffscreenCanvas;
  readonly canvas: HTMLCanvasElement;
  /** Says the size, or the number that is pointed at. */
  readonly text: Text;
  readonly figure: HTMLElement;
}

/** What a strip shows: its steps from `first` on, each `pixels` of the canvas wide, with a frame around the one at `index`. */
interface Shown {
  readonly first: number;
  readonly count: number;
  readonly pixels: number;
  readonly index: number;
}

export interface TimePictureOptions {
  readonly page: Page;
  readonly network: Network;
  /** The most steps that there will be. */
  readonly stepsMax: number;
  /** Called with the index of the step that was chosen. */
  readonly onChoose: (index: number) => void;
}

export class TimePicture {
  readonly element: HTMLElement;
  readonly #options: TimePictureOptions;
  readonly #strips: readonly Strip[];
  readonly #endTheme: () => void;
  readonly #resize: ResizeObserver;
  #steps: readonly Step[] = [];
  /** Steps that are in the small canvases. */
  #painted = 0;
  #index = 0;
  #row = 0;
  #pointed: { readonly strip: Strip; readonly index: number; readonly row: number } | undefined;
  #width = 0;
  #frameColor = '';
  #shown: Shown | undefined;

  constructor(options: TimePictureOptions) {
    this.#options = options;
    const { D, H, cell } = options.network;
    this.#strips = [
      this.#strip('x_t', 'D', D, ({ x }) => x),
      this.#strip('h_t', 'H', H, ({ after }) => after.h),
      ...(CELLS[cell].hasCellState ? [this.#strip('c_t', 'H', H, ({ after }) => after.c!)] : []),
    ];
    this.element = el('div', { class: 'time' }, this.#strips.map(({ figure }) => figure));
    this.#endTheme = onThemeChange(() => this.#paintAll());
    this.#resize = new ResizeObserver(() => {
      if (this.element.clientWidth === this.#width) return;
      this.#width = this.element.clientWidth;
      this.#paintAll();
    });
    this.#resize.observe(this.element);
  }

  /** @param row of the batch; @param index of the step that is shown above */
  draw(steps: readonly Step[], index: number, row: number): void {
    const areOthers = row !== this.#row || steps !== this.#steps;
    if (areOthers) this.#painted = 0;
    this.#steps = steps;
    this.#row = row;
    this.#index = index;
    for (; this.#painted < steps.length; this.#painted++) this.#addColumn(this.#painted);
    if (areOthers) this.#paintAll();
    else this.#paint();
  }

  dispose(): void {
    this.#endTheme();
    this.#resize.disconnect();
  }

  #strip(name: string, size: 'D' | 'H', rows: number, read: (step: Step) => Matrix): Strip {
    const { texts } = this.#options.page;
    const canvas = el('canvas', { tabindex: 0, role: 'slider', 'aria-label': texts.understand.time.slider(plainName(name)), 'aria-valuemin': 1 }, [], {
      pointermove: (event) => this.#onPointer(event, strip),
      pointerdown: (event) => this.#onPointer(event, strip),
      pointerleave: () => this.#point(undefined),
      keydown: (event) => this.#onKey(event),
    });
    const text = document.createTextNode('');
    const figure = el('figure', {}, [el('figcaption', {}, [formula(name), ' ', el('span', { class: 'shape' }, [text])]), canvas]);
    const strip: Strip = { size, rows, read, canvas, small: new OffscreenCanvas(this.#options.stepsMax, rows), text, figure };
    canvas.style.height = `${Math.round(rows * Math.min(ROW_PIXELS_MAX, STRIP_PIXELS_MAX / rows))}px`;
    return strip;
  }

  #addColumn(index: number): void {
    const step = this.#steps[index]!;
    for (const { small, rows, read } of this.#strips) {
      const image = new ImageData(1, rows);
      const { data } = read(step);
      for (let k = 0; k < rows; k++) image.data.set(colorOf(data[this.#row * rows + k]!, 1) satisfies Rgba, 4 * k);
      small.getContext('2d')!.putImageData(image, index, 0);
    }
  }

  get #window(): Shown {
    const available = Math.max(1, Math.round(this.#width * devicePixelRatio));
    const pixels = Math.max(1, Math.min(COLUMN_PIXELS_MAX * devicePixelRatio, Math.floor(available / Math.max(1, this.#steps.length))));
    const count = Math.min(this.#steps.length, Math.floor(available / pixels));
    // The chosen step is in sight, and else the last ones.
    const first = Math.max(0, Math.min(this.#index, this.#steps.length - count));
    return { first, count, pixels, index: this.#index };
  }

  #paintAll(): void {
    this.#shown = undefined;
    this.#frameColor = cssColor('--ink');
    this.#paint();
  }

  /** Paints what has changed: while steps are added that is a column or two. */
  #paint(): void {
    if (this.#width === 0 || this.#steps.length === 0) return;
    const [shown, now] = [this.#shown, this.#window];
    const isMoved = shown === undefined || shown.first !== now.first || shown.pixels !== now.pixels || now.count < shown.count;
    // The frame of a narrow column covers its neighbours.
    const margin = Math.ceil((2 * devicePixelRatio) / now.pixels);
    const from = isMoved ? now.first : Math.max(now.first, Math.min(shown.index, now.index, shown.first + shown.count) - margin);
    const to = isMoved ? now.first + now.count : Math.min(now.first + now.count, Math.max(shown.index, now.index, now.first + now.count - 1) + 1 + margin);
    for (const strip of this.#strips) {
      this.#paintColumns(strip, now, from, to, isMoved);
      strip.canvas.setAttribute('aria-valuemax', String(this.#steps.length));
      strip.canvas.setAttribute('aria-valuenow', String(now.index + 1));
      strip.canvas.setAttribute('aria-valuetext', `t = ${now.index + 1}`);
    }
    this.#shown = now;
    this.#describe();
  }

  #paintColumns({ canvas, small, rows }: Strip, { first, pixels, index }: Shown, from: number, to: number, isAll: boolean): void {
    const [width, height] = [Math.round(this.#width * devicePixelRatio), Math.round(parseFloat(canvas.style.height) * devicePixelRatio)];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext('2d')!;
    const [left, painted] = [(from - first) * pixels, (to - from) * pixels];
    context.clearRect(left, 0, isAll ? width : painted, height);
    context.imageSmoothingEnabled = false;
    context.drawImage(small, from, 0, to - from, rows, left, 0, painted, height);
    context.strokeStyle = this.#frameColor;
    context.lineWidth = 2 * devicePixelRatio;
    context.strokeRect((index - first) * pixels + devicePixelRatio, devicePixelRatio, Math.max(0, pixels - 2 * devicePixelRatio), height - 2 * devicePixelRatio);
  }

  #onPointer(event: PointerEvent, strip: Strip): void {
    const { left, top, height } = strip.canvas.getBoundingClientRect();
    const { first, count, pixels } = this.#window;
    const column = Math.floor(((event.clientX - left) * devicePixelRatio) / pixels);
    if (column < 0 || column >= count) return this.#point(undefined);
    const row = Math.min(strip.rows - 1, Math.max(0, Math.floor(((event.clientY - top) / height) * strip.rows)));
    this.#point({ strip, index: first + column, row });
    if ((event.buttons & 1) === 1) this.#options.onChoose(first + column);
  }

  #point(pointed: { readonly strip: Strip; readonly index: number; readonly row: number } | undefined): void {
    this.#pointed = pointed;
    this.#describe();
  }

  #describe(): void {
    for (const strip of this.#strips) {
      const { text, size, rows, read } = strip;
      const pointed = this.#pointed?.strip === strip && this.#pointed.index < this.#steps.length ? this.#pointed : undefined;
      text.data = pointed
        ? `t = ${pointed.index + 1}, [${this.#row}, ${pointed.row}] = ${shortNumber(read(this.#steps[pointed.index]!).data[this.#row * rows + pointed.row]!)}`
        : `(T, ${size}) = (${this.#steps.length}, ${rows})`;
    }
  }

  #onKey(event: KeyboardEvent): void {
    const last = this.#steps.length - 1;
    const targets: Record<string, number> = { ArrowLeft: this.#index - 1, ArrowRight: this.#index + 1, Home: 0, End: last, PageUp: this.#index - 10, PageDown: this.#index + 10 };
    const target = targets[event.key];
    if (target === undefined) return;
    event.preventDefault();
    this.#options.onChoose(Math.max(0, Math.min(last, target)));
  }
}
