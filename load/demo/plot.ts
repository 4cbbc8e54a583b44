// Two curves in plain text: one as a filled area and one as dots, so that they differ without colour.

export interface PlotOptions {
  readonly area: readonly number[];
  readonly dots: readonly number[];
  /** The first and the last value of the horizontal axis. */
  readonly from: number;
  readonly to: number;
  readonly columns: number;
  readonly rows: number;
}

const EIGHTHS = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const DOT = '●';

/** `rows` lines of characters with a vertical axis from 0, and one line for the horizontal axis. */
export function plot({ area, dots, from, to, columns, rows }: PlotOptions): string {
  const areaHeights = meansOfColumns(area, columns);
  const dotHeights = meansOfColumns(dots, columns);
  const top = roundUp(Math.max(...areaHeights, ...dotHeights));
  const toRows = (height: number) => (Math.max(0, height) / top) * rows;

  const lines: string[] = [];
  for (let row = rows - 1; row >= 0; row--) {
    const cells = areaHeights.map((height, column) => {
      const isDot = Math.min(rows - 1, Math.floor(toRows(dotHeights[column]!))) === row;
      return isDot ? DOT : EIGHTHS[eighths(toRows(height) - row)]!;
    });
    lines.push(`${label(row, rows, top)}│${cells.join('')}`);
  }
  const gap = columns - String(from).length - String(to).length;
  return [...lines, `     └${from}${'─'.repeat(gap)}${to}`].join('\n');
}

/** One mean for each column, over the values of that column. */
function meansOfColumns(values: readonly number[], columns: number): number[] {
  return Array.from({ length: columns }, (_, column) => {
    const start = Math.floor((column * values.length) / columns);
    const end = Math.max(start + 1, Math.floor(((column + 1) * values.length) / columns));
    const part = values.slice(start, end);
    return part.reduce((a, b) => a + b, 0) / part.length;
  });
}

/** The filled part of a cell in eighths, 0 … 8. */
function eighths(filled: number): number {
  return Math.round(8 * Math.min(1, Math.max(0, filled)));
}

/** To the next multiple of 50, for round numbers at the axis. */
function roundUp(value: number): number {
  return Math.max(50, Math.ceil(value / 50) * 50);
}

function label(row: number, rows: number, top: number): string {
  if (row === rows - 1) return String(top).padStart(4).padEnd(5);
  if (row === Math.floor(rows / 2) - 1) return String(top / 2).padStart(4).padEnd(5);
  return row === 0 ? '   0 ' : '     ';
}
