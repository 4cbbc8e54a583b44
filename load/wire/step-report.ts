// The figures of the steps, for a terminal and for a file.
import { type Spread, ratiosOf, spreadOf } from '../../src/cli/bench/statistics.ts';
import type { HttpRound } from '../../src/cli/bench/http-target.ts';
import { formatNumber, formatTable } from '../../src/cli/table.ts';
import { FORMS, type StepCell } from './steps.ts';
import { type Target, atLeast, atMost } from '../report/targets.ts';

const HEADINGS = [
  '',
  'requests/s',
  'p50',
  'p99',
  'bytes in',
  'bytes out',
  '÷ peer',
  'min … max',
  'p99 ÷ peer',
  'min … max',
];

/** One row of the table: medians over the rounds. */
export interface StepFigures {
  readonly name: string;
  readonly N: number;
  readonly form: (typeof FORMS)[number];
  readonly requestsPerS: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  /** Requests/s by those of the peer's JSON in the same round. */
  readonly ratio: Spread;
  /** p99 by that of the peer's JSON in the same round. */
  readonly p99Ratio: Spread;
}

export function stepFigures(cells: readonly StepCell[]): StepFigures[] {
  return cells.flatMap(({ N, rounds }) =>
    FORMS.map((form) => {
      const median = (key: keyof HttpRound) => spreadOf(rounds[form].map((round) => round[key])).median;
      const ratio = (key: keyof HttpRound) =>
        ratiosOf(
          rounds[form].map((round) => round[key]),
          rounds['peer JSON'].map((round) => round[key]),
        );
      return {
        name: `N=${String(N).padEnd(3)} ${form}`,
        N,
        form,
        requestsPerS: median('requestsPerS'),
        p50Ms: median('p50Ms'),
        p99Ms: median('p99Ms'),
        requestBytes: median('requestBytes'),
        responseBytes: median('responseBytes'),
        ratio: ratio('requestsPerS'),
        p99Ratio: ratio('p99Ms'),
      };
    }),
  );
}

export function formatSteps(figures: readonly StepFigures[]): string {
  return formatTable([HEADINGS, ...figures.map(row)]);
}

function row(figures: StepFigures): string[] {
  const { name, form, requestsPerS, p50Ms, p99Ms, requestBytes, responseBytes } = figures;
  const ratios = [figures.ratio, figures.p99Ratio].flatMap(({ median, min, max }) =>
    form === 'peer JSON'
      ? ['', '']
      : [median.toFixed(2), `${min.toFixed(2)} … ${max.toFixed(2)}`],
  );
  return [
    name,
    ...[requestsPerS, p50Ms, p99Ms].map(formatNumber),
    ...[requestBytes, responseBytes].map((bytes) => Math.round(bytes).toLocaleString('en')),
    ...ratios,
  ];
}

/** The targets whose cells were measured. */
export function stepTargets(figures: readonly StepFigures[]): Target[] {
  const ratioOf = (N: number, form: (typeof FORMS)[number]) =>
    figures.find((cell) => cell.N === N && cell.form === form)?.ratio.median;
  const ours = figures.filter(({ form }) => form !== 'peer JSON');
  const worst = ours.reduce((a, b) => (b.p99Ratio.median > a.p99Ratio.median ? b : a));
  const worstName = worst.name.replaceAll(/ +/g, ' ');
  return [
    atLeast('JSON N=1, requests/s ÷ peer', ratioOf(1, 'our JSON'), 1.5),
    atLeast('JSON N=32, requests/s ÷ peer', ratioOf(32, 'our JSON'), 4),
    atLeast("bytes N=32, requests/s ÷ peer's JSON", ratioOf(32, 'our bytes'), 10),
    atMost(`p99 ÷ peer, worst (${worstName})`, worst.p99Ratio.median, 1),
  ].filter((target) => target !== undefined);
}
