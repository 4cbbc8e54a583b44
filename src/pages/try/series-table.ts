// The numbers of the chart as a table, for those who read them or do not see the chart.
import { el } from '../dom.ts';
import { shortNumber } from '../numbers.ts';
import type { Texts } from '../texts/en.ts';
import type { ChartLines } from './series-chart.ts';

const ROWS_MAX = 2_000;

/** @param lines as they are when the table is opened */
export function seriesTable({ try: texts }: Texts, lines: () => ChartLines): HTMLElement {
  const body = el('tbody');
  const heads = Object.values(texts.lines).map((name) => el('th', { scope: 'col', class: 'number' }, name));
  const table = el('table', {}, [el('thead', {}, [el('tr', {}, heads)]), body]);
  const details = el('details', { class: 'numbers' }, [
    el('summary', {}, texts.table),
    el('div', { class: 'scroll tall', tabindex: 0, role: 'region', 'aria-label': texts.table }, [table]),
  ], { toggle: () => body.replaceChildren(...(details.open ? rowsOf(lines()) : [])) });
  return details;
}

function rowsOf({ labels, data, forecast, A, B }: ChartLines): HTMLElement[] {
  const length = Math.max(data.length, forecast.length, A.length, B.length);
  return Array.from({ length: Math.min(length, ROWS_MAX) }, (_, t) =>
    el('tr', {}, [
      el('th', { scope: 'row', class: 'number' }, labels?.[t] ?? (labels ? `+${t - labels.length + 1}` : String(t + 1))),
      ...[data, forecast, A, B].map((line) => {
        const value = line[t];
        return el('td', { class: 'number' }, typeof value === 'number' ? shortNumber(value) : '');
      }),
    ]),
  );
}
