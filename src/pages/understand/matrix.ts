// A matrix of the picture: row-major float32.

export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float32Array;
}

/** Of one number, counted from 0 as programs do. */
export interface Place {
  readonly row: number;
  readonly column: number;
}

export function zeros(rows: number, columns: number): Matrix {
  return { rows, columns, data: new Float32Array(rows * columns) };
}

export function at({ columns, data }: Matrix, row: number, column: number): number {
  return data[row * columns + column]!;
}

/** The same matrix with one number replaced. */
export function withValue(matrix: Matrix, row: number, column: number, value: number): Matrix {
  const data = matrix.data.slice();
  data[row * matrix.columns + column] = value;
  return { ...matrix, data };
}

/** `count` columns from `first` on, as a matrix of their own. */
export function columnsOf({ rows, columns, data }: Matrix, first: number, count: number): Matrix {
  const part = zeros(rows, count);
  for (let row = 0; row < rows; row++) part.data.set(data.subarray(row * columns + first, row * columns + first + count), row * count);
  return part;
}

/** A row as a matrix with `rows` equal ones, as it is added to each row of a batch. */
export function broadcast({ columns, data }: Matrix, rows: number): Matrix {
  const repeated = zeros(rows, columns);
  for (let row = 0; row < rows; row++) repeated.data.set(data, row * columns);
  return repeated;
}

/** As nested arrays for JSON: the shortest decimals that are read as the same float32. */
export function nested({ rows, columns, data }: Matrix): number[][] {
  return Array.from({ length: rows }, (_, row) => Array.from(data.subarray(row * columns, (row + 1) * columns), shortest));
}

/** The shortest decimal that is read as the same float32, as a number of its own. */
export function shortest(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const rounded = Number(value.toPrecision(digits));
    if (Math.fround(rounded) === value) return rounded;
  }
  return Number(value.toPrecision(9));
}
