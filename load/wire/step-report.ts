// What the steps' figures say, for a terminal and for a file.
import { type Spread, ratiosOf, spreadOf } from '../statistics.ts';
import type { Round } from '../fire.ts';
import { formatNumber, formatTable } from '../table.ts';
import { FORMS, type StepCell } from './steps.ts';
import { type Target, atLeast, atMost } from './targets.ts';

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

/** What the tables say, cell by cell. */
export interface StepFigures {
  readonly name: string;
  readonly N: number;
  readonly form: (typeof FORMS)[number];
  readonly requestsPerS: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly requestBytes: number;
  readonly answerBytes: number;
  /** Of the requests/s, round by round. */
  readonly ratio: Spread;
  readonly p99Ratio: Spread;
}

export function stepFigures(cells: readonly StepCell[]): StepFigures[] {
  return cells.flatMap(({ N, rounds }) =>
    FORMS.map((form) => {
      const median = (key: keyof Round) => spreadOf(rounds[form].map((round) => round[key])).median;
      const ratio = (key: keyof Round) =>
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
        answerBytes: median('answerBytes'),
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
  const { name, form, requestsPerS, p50Ms, p99Ms, requestBytes, answerBytes } = figures;
  const ratios = [figures.ratio, figures.p99Ratio].flatMap(({ median, min, max }) =>
    form === 'peer JSON'
      ? ['', '']
      : [median.toFixed(2), `${min.toFixed(2)} … ${max.toFixed(2)}`],
  );
  return [
    name,
    ...[requestsPerS, p50Ms, p99Ms].map(formatNumber),
    ...[requestBytes, answerBytes].map((bytes) => Math.round(bytes).toLocaleString('en')),
    ...ratios,
  ];
}

/** Those of them that were measured. */
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
