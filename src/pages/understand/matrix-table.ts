// A small matrix as a table whose cells have the colour of their number. One cell at a time can be reached with Tab, the arrow
// keys move on from it, and where numbers may be changed, Enter, typing or a click begins it.
import { colorOf, maxOf } from '../colors.ts';
import { el } from '../dom.ts';
import { type Matrix, type Place, at, shortest } from './matrix.ts';
import type { MatrixOptions } from './matrix-options.ts';
import { plainName } from './names.ts';

/** The strongest colour still lets the number be read. */
const OPACITY_MAX = 0.55;
/** Of the rows of a bias that only repeat its first one, whose text is weak too. */
const REPEATED_OPACITY_MAX = 0.15;
const MOVES: Readonly<Record<string, readonly [number, number]>> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

export class MatrixTable {
  readonly element: HTMLTableElement;
  readonly #options: MatrixOptions;
  readonly #cells: readonly (readonly HTMLTableCellElement[])[];
  #matrix: Matrix;
  /** Where the cursor is, of the keyboard or a finger; a mouse that leaves gives it back. */
  #focused: Place | undefined;
  #drawnMax = -1;

  constructor(matrix: Matrix, options: MatrixOptions & { readonly label: string }) {
    this.#options = options;
    this.#matrix = matrix;
    this.#cells = Array.from({ length: matrix.rows }, (_, row) =>
      Array.from({ length: matrix.columns }, (_, column) => this.#cell({ row, column })),
    );
    this.element = el(
      'table',
      { role: 'grid', 'aria-label': options.label, 'aria-readonly': options.onEdit ? undefined : 'true', class: options.onEdit ? 'editable' : undefined },
      [el('tbody', {}, this.#cells.map((cells) => el('tr', {}, cells)))],
      { pointerleave: () => options.onPoint?.(this.#focused) },
    );
  }

  draw(data: Float32Array, rows: number, columns: number): void {
    const last = this.#matrix.data;
    this.#matrix = { rows, columns, data };
    const max = Math.max(this.#options.max ?? 0, maxOf(data));
    const isFresh = max !== this.#drawnMax;
    this.#drawnMax = max;
    this.#cells.flat().forEach((cell, k) => {
      if (!isFresh && data[k] === last[k]) return;
      const [red, green, blue, opacity] = colorOf(data[k]!, max);
      const opacityMax = cell.classList.contains('repeated') ? REPEATED_OPACITY_MAX : OPACITY_MAX;
      cell.style.backgroundColor = `rgb(${red} ${green} ${blue} / ${((opacity / 255) * opacityMax).toFixed(3)})`;
      if (!cell.querySelector('input')) cell.textContent = cellText(data[k]!);
    });
  }

  light(row: number | undefined, column: number | undefined): void {
    this.#cells.forEach((cells, r) =>
      cells.forEach((cell, c) => {
        const isLit = (row !== undefined || column !== undefined) && (row === undefined || row === r) && (column === undefined || column === c);
        cell.classList.toggle('lit', isLit);
      }),
    );
  }

  #cell(place: Place): HTMLTableCellElement {
    const { onPoint, onEdit, isBroadcast } = this.#options;
    const isRepeated = isBroadcast === true && place.row > 0;
    const isFirst = place.row === 0 && place.column === 0;
    return el('td', { role: 'gridcell', tabindex: isFirst ? 0 : -1, class: isRepeated ? 'repeated' : undefined }, [], {
      pointerenter: () => onPoint?.(place),
      focus: () => this.#focus(place),
      blur: (event) => {
        // An input in the cell that takes the focus is still this place.
        if (event.relatedTarget instanceof Node && this.#cellAt(place).contains(event.relatedTarget)) return;
        this.#focused = undefined;
        onPoint?.(undefined);
      },
      keydown: (event) => this.#onKey(event, place),
      click: () => {
        if (onEdit && !isRepeated) this.#edit(place, undefined);
        else this.#cellAt(place).focus();
      },
    });
  }

  #cellAt({ row, column }: Place): HTMLTableCellElement {
    return this.#cells[row]![column]!;
  }

  #focus(place: Place): void {
    this.#focused = place;
    for (const cell of this.#cells.flat()) cell.tabIndex = -1;
    this.#cellAt(place).tabIndex = 0;
    this.#options.onPoint?.(place);
  }

  #onKey(event: KeyboardEvent, { row, column }: Place): void {
    if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
    const move = MOVES[event.key];
    if (move) {
      this.#cells[row + move[0]]?.[column + move[1]]?.focus();
      event.preventDefault();
    } else if (this.#options.onEdit && !this.#cellAt({ row, column }).classList.contains('repeated')) {
      if (event.key === 'Enter' || event.key === 'F2') this.#edit({ row, column }, undefined);
      else if (/^[-\d.]$/.test(event.key)) this.#edit({ row, column }, event.key);
      else return;
      event.preventDefault();
    }
  }

  /** @param typed what the number begins with; if absent, the number that is there is changed */
  #edit(place: Place, typed: string | undefined): void {
    const cell = this.#cellAt(place);
    if (cell.querySelector('input')) return;
    const value = at(this.#matrix, place.row, place.column);
    const input = el('input', {
      autocomplete: 'off',
      'aria-label': `${plainName(this.#options.name)} [${place.row}, ${place.column}]`,
    });
    input.value = typed ?? String(shortest(value));
    let isOpen = true;
    const close = (isChanged: boolean) => {
      if (!isOpen) return;
      isOpen = false;
      const edited = Math.fround(Number(input.value.replace(',', '.').replace('−', '-')));
      const now = at(this.#matrix, place.row, place.column);
      cell.textContent = cellText(now);
      if (isChanged && input.value.trim() !== '' && Number.isFinite(edited) && edited !== value) this.#options.onEdit!(place, edited);
    };
    input.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' && event.key !== 'Escape') return;
      close(event.key === 'Enter');
      cell.focus();
      event.preventDefault();
    });
    input.addEventListener('blur', () => {
      close(true);
      this.#focused = undefined;
      this.#options.onPoint?.(undefined);
    });
    cell.replaceChildren(input);
    input.focus();
    if (typed === undefined) input.select();
    this.#focus(place);
  }
}

/** In the five characters that a cell has place for. */
function cellText(value: number): string {
  const size = Math.abs(value);
  const text = size < 9.995 ? value.toFixed(2) : size < 99.95 ? value.toFixed(1) : size < 9999.5 ? value.toFixed(0) : value.toExponential(0);
  return (Number(text) === 0 ? '0' : text).replace('-', '−').replace(/(\.\d)0$/, '$1').replace(/\.0$/, '');
}
