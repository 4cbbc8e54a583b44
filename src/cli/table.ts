// Tables for the terminal.

/** Which columns are aligned to the right. */
export type Alignment = (column: number) => 'left' | 'right';

/** Columns as wide as their longest cell; unless told otherwise the first to the left, all others to the right. */
export function formatTable(
  rows: readonly (readonly string[])[],
  alignment: Alignment = (column) => (column === 0 ? 'left' : 'right'),
): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const pad = (cell: string, column: number) =>
    alignment(column) === 'left' ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!);
  return rows.map((row) => row.map(pad).join('  ').trimEnd()).join('\n');
}

/** Three significant digits, without exponent: 8,430 · 12.3 · 0.0456 */
export function formatNumber(value: number): string {
  return new Intl.NumberFormat('en', { maximumSignificantDigits: 3 }).format(value);
}

/** 16,384 */
export const formatCount = (value: number) => value.toLocaleString('en');
