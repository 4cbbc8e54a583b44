// A matrix as a picture: one cell for each number, with the number shown for the cell under the pointer or the cursor.
import { colorOf, maxOf } from './colors.ts';
import { el } from './dom.ts';
import { shortNumber } from './numbers.ts';
import type { Texts } from './texts/en.ts';

export interface HeatmapOptions {
  /** `W_x (D, H)`. */
  readonly name: string;
  readonly texts: Texts;
  /** Pixels of the picture on the page, at most; cells are square if there is place. */
  readonly width?: number;
  readonly height?: number;
  /** Pixels of a row at least, where few rows have many columns; 0 if absent. */
  readonly cellHeightMin?: number;
  /** Whether the name and the number that is pointed at stand below the picture, as they do if this is absent. */
  readonly hasCaption?: boolean;
  /** As wide as its place and as high as `height`, whatever the shape of the cells. */
  readonly stretch?: boolean;
  /** Numbers of this size get the full colour; if absent, the largest of the matrix. */
  readonly max?: number;
  /** Called with the cell that is pointed at, and with undefined when none is any more. */
  readonly onPoint?: (cell: Cell | undefined) => void;
}

export interface Cell {
  readonly row: number;
  readonly column: number;
  readonly value: number;
}

const CELL_PIXELS_MAX = 28;

export class Heatmap {
  readonly element: HTMLElement;
  readonly #canvas: HTMLCanvasElement;
  readonly #caption: HTMLElement;
  readonly #options: HeatmapOptions;
  readonly #small = new OffscreenCanvas(1, 1);
  #image: ImageData | undefined;
  #values: Float32Array = new Float32Array();
  #rows = 0;
  #columns = 0;
  #pointed: Pick<Cell, 'row' | 'column'> | undefined;
  #lit: { readonly row?: number | undefined; readonly column?: number | undefined } = {};

  constructor(options: HeatmapOptions) {
    this.#options = options;
    this.#canvas = el('canvas', { tabindex: 0, role: 'img' }, [], {
      pointermove: (event) => this.#pointAt(this.#cellAt(event)),
      pointerleave: () => this.#pointAt(undefined),
      blur: () => this.#pointAt(undefined),
      keydown: (event) => this.#onKey(event),
    });
    this.#caption = el('figcaption', { 'aria-live': 'polite' }, options.name);
    this.element = el('figure', { class: 'heatmap' }, [this.#canvas, options.hasCaption === false ? undefined : this.#caption]);
  }

  /** @param values (rows, columns), row-major */
  draw(values: Float32Array, rows: number, columns: number): void {
    this.#values = values;
    if (rows !== this.#rows || columns !== this.#columns) this.#resize(rows, columns);
    this.#paint();
    this.#describe();
  }

  /** Draws a frame around a row, a column, or with both the number where they meet; undefined takes it away. */
  light(row: number | undefined, column: number | undefined): void {
    if (this.#lit.row === row && this.#lit.column === column) return;
    this.#lit = { row, column };
    this.#paint();
  }

  #resize(rows: number, columns: number): void {
    this.#rows = rows;
    this.#columns = columns;
    this.#image = rows > 0 && columns > 0 ? new ImageData(columns, rows) : undefined;
    Object.assign(this.#small, { width: columns, height: rows });
    const { width = 320, height = 320, cellHeightMin = 0, stretch = false } = this.#options;
    const cell = Math.min(CELL_PIXELS_MAX, width / Math.max(1, columns), height / Math.max(1, rows));
    const cellHeight = Math.max(cell, Math.min(cellHeightMin, height / rows));
    this.#canvas.style.width = stretch ? '100%' : `${Math.max(1, Math.round(columns * cell))}px`;
    this.#canvas.style.height = stretch ? `${height}px` : `${Math.max(1, Math.round(rows * cellHeight))}px`;
    this.#canvas.setAttribute('aria-label', this.#options.texts.heatmap.summary(this.#options.name, rows, columns));
  }

  /** One pixel a number, enlarged without smoothing, so that drawing costs the same at any size on the page. */
  #paint(): void {
    const [rows, columns] = [this.#rows, this.#columns];
    if (rows === 0 || columns === 0) return;
    const image = this.#image!;
    const max = this.#options.max ?? maxOf(this.#values);
    for (let k = 0; k < rows * columns; k++) image.data.set(colorOf(this.#values[k]!, max), 4 * k);
    this.#small.getContext('2d')!.putImageData(image, 0, 0);

    const canvas = this.#canvas;
    // In per cent of a place that may not be shown yet.
    const cssWidth = canvas.style.width.endsWith('%') ? canvas.clientWidth : parseFloat(canvas.style.width);
    const width = Math.max(columns, Math.round(cssWidth * devicePixelRatio));
    const height = Math.max(rows, Math.round(parseFloat(canvas.style.height) * devicePixelRatio));
    // To give a canvas the size that it has would make it anew.
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const context = canvas.getContext('2d')!;
    context.imageSmoothingEnabled = false;
    context.clearRect(0, 0, width, height);
    context.drawImage(this.#small, 0, 0, width, height);
    if (this.#pointed || this.#lit.row !== undefined || this.#lit.column !== undefined) this.#paintFrames(context);
  }

  #paintFrames(context: CanvasRenderingContext2D): void {
    const [width, height] = [this.#canvas.width / this.#columns, this.#canvas.height / this.#rows];
    context.strokeStyle = getComputedStyle(this.#canvas).color;
    context.lineWidth = 2 * devicePixelRatio;
    const { row, column } = this.#lit;
    if (row !== undefined && column !== undefined) context.strokeRect(column * width, row * height, width, height);
    else if (row !== undefined) context.strokeRect(0, row * height, this.#canvas.width, height);
    else if (column !== undefined) context.strokeRect(column * width, 0, width, this.#canvas.height);
    if (this.#pointed) context.strokeRect(this.#pointed.column * width, this.#pointed.row * height, width, height);
  }

  #cellAt(event: PointerEvent): Pick<Cell, 'row' | 'column'> | undefined {
    const { left, top, width, height } = this.#canvas.getBoundingClientRect();
    const column = Math.floor(((event.clientX - left) / width) * this.#columns);
    const row = Math.floor(((event.clientY - top) / height) * this.#rows);
    return row >= 0 && row < this.#rows && column >= 0 && column < this.#columns ? { row, column } : undefined;
  }

  #onKey(event: KeyboardEvent): void {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!move || this.#rows === 0) return;
    event.preventDefault();
    const { row, column } = this.#pointed ?? { row: 0, column: 0 };
    const steps = this.#pointed ? move : [0, 0];
    this.#pointAt({
      row: Math.min(this.#rows - 1, Math.max(0, row + steps[0]!)),
      column: Math.min(this.#columns - 1, Math.max(0, column + steps[1]!)),
    });
  }

  #pointAt(cell: Pick<Cell, 'row' | 'column'> | undefined): void {
    if (cell?.row === this.#pointed?.row && cell?.column === this.#pointed?.column) return;
    this.#pointed = cell;
    this.#paint();
    this.#describe();
    this.#options.onPoint?.(cell && { ...cell, value: this.#valueAt(cell) });
  }

  #valueAt({ row, column }: Pick<Cell, 'row' | 'column'>): number {
    return this.#values[row * this.#columns + column]!;
  }

  #describe(): void {
    const cell = this.#pointed;
    const value = cell && ` [${cell.row}, ${cell.column}] = ${shortNumber(this.#valueAt(cell))}`;
    this.#caption.textContent = this.#options.name + (value ?? '');
  }
}
