// The figures of bench:kernels, for a terminal and for a file.
import { flopsOf } from '../cases/sequence-case.ts';
import { ratiosOf, spreadOf } from '../report/statistics.ts';
import { formatNumber, formatTable } from '../report/table.ts';
import { nameOf } from './cells.ts';
import type { CellResult } from './measure.ts';

/** Medians of the rounds; ratios are taken within a round. */
export interface CellFigures {
  readonly name: string;
  readonly T: number;
  readonly oursUs: number;
  readonly peerUs: number;
  readonly oursGflops: number;
  readonly peerGflops: number;
  /** The peer's time ÷ ours; above 1 ours is faster. */
  readonly ratio: number;
  readonly ratioMin: number;
  readonly ratioMax: number;
  /** Our GFLOP/s ÷ those of sgemm; NaN without numpy. */
  readonly share: number;
}

export function figuresOf({ sizes, oursUs, peerUs, sgemmGflops }: CellResult): CellFigures {
  const gflops = (us: number) => flopsOf(sizes) / us / 1e3;
  const ours = spreadOf(oursUs).median;
  const peer = spreadOf(peerUs).median;
  const { median, min, max } = ratiosOf(peerUs, oursUs);
  return {
    name: nameOf(sizes),
    T: sizes.T,
    oursUs: ours,
    peerUs: peer,
    oursGflops: gflops(ours),
    peerGflops: gflops(peer),
    ratio: median,
    ratioMin: min,
    ratioMax: max,
    share: spreadOf(sgemmGflops.map((peak, round) => gflops(oursUs[round]!) / peak)).median,
  };
}

export interface Summary {
  /** Geometric means. */
  readonly ratio: number;
  readonly ratioOfT: Readonly<Record<string, number>>;
  readonly worst: CellFigures;
  readonly best: CellFigures;
  /** GFLOP/s of sgemm over the whole run; NaN without numpy. */
  readonly sgemmGflops: number;
}

export function summaryOf(results: readonly CellResult[]): Summary {
  const figures = results.map(figuresOf);
  const steps = [...new Set(figures.map(({ T }) => T))];
  const ratioOf = (cells: readonly CellFigures[]) => geometricMean(cells.map(({ ratio }) => ratio));
  return {
    ratio: ratioOf(figures),
    ratioOfT: Object.fromEntries(
      steps.map((steps) => [steps, ratioOf(figures.filter(({ T }) => T === steps))]),
    ),
    worst: figures.reduce((a, b) => (b.ratio < a.ratio ? b : a)),
    best: figures.reduce((a, b) => (b.oursGflops > a.oursGflops ? b : a)),
    sgemmGflops: spreadOf(results.flatMap(({ sgemmGflops }) => sgemmGflops)).median,
  };
}

function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

const HEADINGS = [
  '',
  'ours µs',
  'peer µs',
  'ours GFLOP/s',
  'peer GFLOP/s',
  '% of sgemm',
  'ratio',
  'min … max',
];

export function formatCells(results: readonly CellResult[]): string {
  return formatTable([HEADINGS, ...results.map(figuresOf).map(row)]);
}

function row(figures: CellFigures): string[] {
  const { name, oursUs, peerUs, oursGflops, peerGflops, share } = figures;
  const { ratio, ratioMin, ratioMax } = figures;
  return [
    name,
    formatNumber(oursUs),
    formatNumber(peerUs),
    formatNumber(oursGflops),
    formatNumber(peerGflops),
    formatShare(share),
    ratio.toFixed(2),
    `${ratioMin.toFixed(2)} … ${ratioMax.toFixed(2)}`,
  ];
}

export function formatSummary(summary: Summary): string {
  const { ratio, ratioOfT, worst, best, sgemmGflops } = summary;
  const ofT = Object.entries(ratioOfT).map(([T, mean]) => `T=${T} ${mean.toFixed(2)}`);
  const peak = Number.isNaN(sgemmGflops)
    ? ''
    : `, ${formatShare(best.share)} % of sgemm (${formatNumber(sgemmGflops)})`;
  return [
    `geometric mean of the ratios  ${ratio.toFixed(2)}   (${ofT.join(', ')})`,
    `worst cell                    ${worst.ratio.toFixed(2)}   ${squeeze(worst.name)}`,
    `most GFLOP/s of ours          ${formatNumber(best.oursGflops)}${peak}   ${squeeze(best.name)}`,
  ].join('\n');
}

function formatShare(share: number): string {
  return Number.isNaN(share) ? '–' : (100 * share).toFixed(0);
}

/** Outside the table a name needs no padding. */
function squeeze(name: string): string {
  return name.replaceAll(/ +/g, ' ');
}
