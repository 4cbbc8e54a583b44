// A matrix of the equation on the page, with its shape written under it: a table of numbers if it is small, else a heatmap.
import { el } from '../dom.ts';
import { Heatmap } from '../heatmap.ts';
import type { Matrix, Place } from './matrix.ts';
import type { MatrixOptions } from './matrix-options.ts';
import { MatrixTable } from './matrix-table.ts';
import { formula, plainName } from './names.ts';

/** Columns and rows of a table; larger matrices have no place for numbers. */
const TABLE_MAX = 8;
/** Pixels of a heatmap on the page. */
const HEATMAP_PIXELS = 256;

export class MatrixView {
  readonly element: HTMLElement;
  readonly name: string;
  readonly #picture: MatrixTable | Heatmap;
  #matrix: Matrix;

  constructor(matrix: Matrix, options: MatrixOptions) {
    this.#matrix = matrix;
    this.name = options.name;
    const { name, shape, texts, onPoint, max } = options;
    const sizes = options.isBroadcast === true ? `(${matrix.columns})` : `(${matrix.rows}, ${matrix.columns})`;
    const label = `${plainName(name)} ${shape} = ${sizes}`;
    if (matrix.rows <= TABLE_MAX && matrix.columns <= TABLE_MAX) {
      this.#picture = new MatrixTable(matrix, { ...options, label });
    } else {
      this.#picture = new Heatmap({
        name: label,
        texts,
        width: HEATMAP_PIXELS,
        height: HEATMAP_PIXELS,
        cellHeightMin: 12,
        hasCaption: false,
        ...(max !== undefined && { max }),
        ...(onPoint && { onPoint }),
      });
    }
    this.element = el('figure', { class: 'matrix', 'data-name': name }, [
      this.#picture.element,
      el('figcaption', {}, [
        formula(name), ' ', el('span', { class: 'shape' }, `${shape} = ${sizes}`),
        options.remark === undefined ? undefined : el('span', { class: 'remark' }, ` ${options.remark}`),
      ]),
    ]);
    this.draw(matrix);
  }

  get matrix(): Matrix {
    return this.#matrix;
  }

  draw(matrix: Matrix): void {
    this.#matrix = matrix;
    this.#picture.draw(matrix.data, matrix.rows, matrix.columns);
  }

  /** A row, a column, or one number; undefined takes the light away. */
  light(lit: Partial<Place> | undefined): void {
    this.#picture.light(lit?.row, lit?.column);
  }
}
