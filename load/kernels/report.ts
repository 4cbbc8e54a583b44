// The figures of bench:kernels for recurrent layers, for a terminal and for a file.
import type { CellType } from '../../src/layers.ts';
import { geometricMean, ratiosOf, spreadOf } from '../../src/cli/bench/statistics.ts';
import { formatNumber, formatTable } from '../../src/cli/table.ts';
import { type Target, atLeast, formatTargets } from '../report/targets.ts';
import { type Point, allPoints, flopsOf, nameOf } from './cells.ts';
import type { PointResult } from './measure.ts';

/** Medians of the rounds; ratios are taken within a round. */
export interface PointFigures {
  readonly point: Point;
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

export function figuresOf({ point, oursUs, peerUs, sgemmGflops }: PointResult): PointFigures {
  const gflops = (us: number) => flopsOf(point) / us / 1e3;
  const ours = spreadOf(oursUs).median;
  const peer = spreadOf(peerUs).median;
  const { median, min, max } = ratiosOf(peerUs, oursUs);
  return {
    point,
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

/** Of one cell; means are geometric. */
export interface Summary {
  readonly cell: CellType;
  readonly ratio: number;
  readonly ratioOfT: Readonly<Record<string, number>>;
  readonly worst: PointFigures;
  /** With the most GFLOP/s. */
  readonly best: PointFigures;
  /** The lowest ratio of one step of one row with H ≤ SMALL_H; undefined if there is none. */
  readonly small: number | undefined;
  readonly targets: readonly Target[];
}

const SMALL_H = 128;

export function summaryOf(cell: CellType, results: readonly PointResult[]): Summary {
  const figures = results.map(figuresOf);
  const meanOf = (some: readonly PointFigures[]) => geometricMean(some.map(({ ratio }) => ratio));
  const lengths = [...new Set(figures.map(({ point }) => point.T))];
  const small = figures.filter(({ point: { T, N, H } }) => T === 1 && N === 1 && H <= SMALL_H);
  const summary = {
    cell,
    ratio: meanOf(figures),
    ratioOfT: Object.fromEntries(lengths.map((T) => [T, meanOf(figures.filter(({ point }) => point.T === T))])),
    worst: figures.reduce((a, b) => (b.ratio < a.ratio ? b : a)),
    best: figures.reduce((a, b) => (b.oursGflops > a.oursGflops ? b : a)),
    small: small.length > 0 ? Math.min(...small.map(({ ratio }) => ratio)) : undefined,
  };
  // They are about all sizes.
  const isComplete = results.length === allPoints([cell]).length;
  return { ...summary, targets: isComplete ? targetsOf(summary) : [] };
}

function targetsOf({ cell, ratio, worst, best, small }: Omit<Summary, 'targets'>): Target[] {
  const share = Number.isNaN(best.share) ? undefined : best.share;
  const targets =
    cell === 'rnn'
      ? [
          atLeast('geometric mean', ratio, 3.5),
          atLeast('worst ratio', worst.ratio, 1.2),
          atLeast('best share of sgemm', share, 0.95),
        ]
      : [
          atLeast('geometric mean', ratio, 1.5),
          atLeast('worst ratio', worst.ratio, 1),
          atLeast(`T=1 N=1, H ≤ ${SMALL_H}, worst ratio`, small, 8),
        ];
  return targets.filter((target) => target !== undefined);
}

/** Table and summary of one cell. */
export function formatCell(results: readonly PointResult[], summary: Summary): string {
  const targets = summary.targets.length > 0 ? `\n\n${formatTargets(summary.targets)}` : '';
  return `${summary.cell.toUpperCase()}

${formatTable([HEADINGS, ...results.map(figuresOf).map(row)])}

${formatSummary(summary)}${targets}`;
}

const HEADINGS = ['', 'ours µs', 'peer µs', 'ours GFLOP/s', 'peer GFLOP/s', '% of sgemm', 'ratio', 'min … max'];

function row({ point, oursUs, peerUs, oursGflops, peerGflops, share, ratio, ratioMin, ratioMax }: PointFigures) {
  return [
    nameOf(point),
    formatNumber(oursUs),
    formatNumber(peerUs),
    formatNumber(oursGflops),
    formatNumber(peerGflops),
    formatShare(share),
    ratio.toFixed(2),
    `${ratioMin.toFixed(2)} … ${ratioMax.toFixed(2)}`,
  ];
}

function formatSummary({ ratio, ratioOfT, worst, best, small }: Summary): string {
  const ofT = Object.entries(ratioOfT).map(([T, mean]) => `T=${T} ${mean.toFixed(2)}`);
  const share = Number.isNaN(best.share) ? '' : `, ${formatShare(best.share)} % of sgemm`;
  const lines = [
    ['geometric mean of the ratios', ratio.toFixed(2), ofT.join(', ')],
    ['worst ratio', worst.ratio.toFixed(2), squeeze(nameOf(worst.point))],
    ...(small === undefined ? [] : [[`worst ratio of T=1 N=1 H ≤ ${SMALL_H}`, small.toFixed(2), '']]),
    ['most GFLOP/s of ours', formatNumber(best.oursGflops), `${squeeze(nameOf(best.point))}${share}`],
  ] as const;
  return lines.map(([name, value, more]) => `${name.padEnd(32)}${value.padEnd(8)}${more}`.trimEnd()).join('\n');
}

function formatShare(share: number): string {
  return Number.isNaN(share) ? '–' : (100 * share).toFixed(0);
}

/** Outside the table a name needs no padding. */
function squeeze(name: string): string {
  return name.replaceAll(/ +/g, ' ');
}
