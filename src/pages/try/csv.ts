// Rows of numbers out of a text: a CSV file, or what was pasted.

export interface Series {
  /** Of the columns that are numbers. */
  readonly columns: readonly string[];
  /** (T, columns) */
  readonly rows: readonly (readonly number[])[];
  /** What each row is called, if the text has a column of dates or names. */
  readonly labels?: readonly string[];
  /** Columns that are no numbers. */
  readonly leftOut: readonly string[];
}

/**
 * A first line that has a word where the next has a number is the heading. Columns whose cells are not all numbers are left
 * out; the first without any number tells what the rows are called. Numbers that all stand in one line are one column.
 *
 * @returns undefined if there is no row with a number
 */
export function parseCsv(text: string): Series | undefined {
  const cells = cellsOf(text);
  const [first, second] = cells;
  if (!first) return undefined;
  const hasHeading = first.every((cell) => !isNumber(cell)) && (second === undefined || second.some(isNumber));
  const names = hasHeading ? first : first.map((_, k) => `${k + 1}`);
  const body = hasHeading ? cells.slice(1) : cells;
  const complete = body.filter((row) => row.length === names.length);
  const numeric = names.flatMap((_, k) => (complete.every((row) => isNumber(row[k]!)) ? [k] : []));
  if (complete.length === 0 || numeric.length === 0) return undefined;
  const label = names.findIndex((_, k) => complete.every((row) => !isNumber(row[k]!)));
  const other = names.flatMap((_, k) => (numeric.includes(k) || k === label ? [] : [k]));
  return {
    columns: numeric.map((k) => names[k]!),
    rows: complete.map((row) => numeric.map((k) => Number(row[k]))),
    ...(label >= 0 && { labels: complete.map((row) => row[label]!) }),
    leftOut: other.map((k) => names[k]!),
  };
}

function cellsOf(text: string): string[][] {
  const lines = text.split(/\r?\n/).map((line) => line.trim()).filter((line) => line !== '');
  const separator = separatorOf(lines);
  const rows = lines.map((line) => line.split(separator).map((cell) => cell.trim().replaceAll(/^"|"$/g, '')));
  return rows.length === 1 ? rows[0]!.map((cell) => [cell]) : rows;
}

/** The first that splits the last line, which is no heading. */
function separatorOf(lines: readonly string[]): RegExp {
  const last = lines.at(-1) ?? '';
  return [/;/, /\t/, /,/].find((separator) => separator.test(last)) ?? /\s+/;
}

function isNumber(cell: string): boolean {
  return cell !== '' && Number.isFinite(Number(cell));
}
