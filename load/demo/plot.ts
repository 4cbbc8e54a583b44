// Two curves in plain text: one as a filled area and one as dots, so that they differ without colour.
import { forecast, measured } from './style.ts';

export interface PlotOptions {
  readonly area: readonly number[];
  readonly dots: readonly number[];
  /** What stands at the start and at the end of the horizontal axis. */
  readonly from: string;
  readonly to: string;
  /** The vertical axis ends at a multiple of it. */
  readonly unit: number;
}

const COLUMNS = 72;
const ROWS = 12;

const EIGHTHS = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const DOT = '●';

/** Lines of characters with a vertical axis from 0, and one line for the horizontal axis; 80 columns at most. */
export function plot({ area, dots, from, to, unit }: PlotOptions): string {
  const areaHeights = meansOfColumns(area);
  const dotHeights = meansOfColumns(dots);
  const top = unit * Math.max(1, Math.ceil(Math.max(...areaHeights, ...dotHeights) / unit));
  const toRows = (height: number) => (Math.max(0, height) / top) * ROWS;

  const lines: string[] = [];
  for (let row = ROWS - 1; row >= 0; row--) {
    const cells = areaHeights.map((height, column) => {
      const isDot = Math.min(ROWS - 1, Math.floor(toRows(dotHeights[column]!))) === row;
      return isDot ? DOT : EIGHTHS[eighths(toRows(height) - row)]!;
    });
    const line = cells.join('').trimEnd();
    lines.push(`${label(row, top)}│${line.replaceAll(/[▁-█]+/g, measured).replaceAll(/●+/g, forecast)}`);
  }
  return [...lines, `     └${from}${'─'.repeat(COLUMNS - from.length - to.length)}${to}`].join('\n');
}

/** One mean for each column, over the values of that column. */
function meansOfColumns(values: readonly number[]): number[] {
  return Array.from({ length: COLUMNS }, (_, column) => {
    const start = Math.floor((column * values.length) / COLUMNS);
    const end = Math.max(start + 1, Math.floor(((column + 1) * values.length) / COLUMNS));
    const part = values.slice(start, end);
    return part.reduce((a, b) => a + b, 0) / part.length;
  });
}

/** The filled part of a cell in eighths, 0 … 8. */
function eighths(filled: number): number {
  return Math.round(8 * Math.min(1, Math.max(0, filled)));
}

function label(row: number, top: number): string {
  if (row === ROWS - 1) return String(top).padStart(4).padEnd(5);
  if (row === ROWS / 2 - 1) return String(top / 2).padStart(4).padEnd(5);
  return row === 0 ? '   0 ' : '     ';
}
