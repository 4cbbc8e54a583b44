// The figures of bench:scaling as tables, and as the lines of its drawing.
import type { Machine } from '../report/machine.ts';
import { type Sizes, flopsOf } from '../cases/sequence-case.ts';
import { type Spread, ratiosOf, spreadOf } from '../../src/cli/bench/statistics.ts';
import { formatNumber, formatTable } from '../../src/cli/table.ts';
import type { Measured, PointResult } from './measure.ts';
import type { OneAndTwo } from './pair.ts';
import { BASE, PAIR_TARGET, SHAPE_AXES, type ShapeAxis, areSame, shapesOf } from './points.ts';

/** The contents of load/results/scaling.json. */
export interface ScalingReport extends Measured {
  readonly machine: Machine;
  /** ISO 8601 */
  readonly date: string;
  readonly rounds: number;
  readonly seconds: number;
  readonly workerCounts: readonly number[];
}

/** One point of a line. */
export interface LinePoint {
  readonly value: number;
  readonly gflops: Spread;
  readonly rowStepsPerS: number;
}

/** Throughput over one axis of shapes, with so many workers. */
export function lineOverShapes(report: Measured, axis: ShapeAxis, workers: number): LinePoint[] {
  return shapesOf(axis).map((sizes) =>
    toLinePoint(sizes[axis], pointAt(report, sizes, workers)),
  );
}

/** Throughput at the base point over the number of workers. */
export function lineOverWorkers(report: ScalingReport): LinePoint[] {
  return report.workerCounts.map((workers) =>
    toLinePoint(workers, pointAt(report, BASE, workers)),
  );
}

function toLinePoint(value: number, { sizes, rowStepsPerS }: PointResult): LinePoint {
  const gflops = rowStepsPerS.map((each) => each * gflopOfRowStep(sizes));
  return { value, gflops: spreadOf(gflops), rowStepsPerS: spreadOf(rowStepsPerS).median };
}

export function gflopOfRowStep(sizes: Sizes): number {
  return flopsOf({ ...sizes, T: 1, N: 1 }) / 1e9;
}

function pointAt({ points }: Measured, sizes: Sizes, workers: number): PointResult {
  return points.find((point) => areSame(point.sizes, sizes) && point.workers === workers)!;
}

export function formatReport(report: ScalingReport): string {
  return formatTable([
    ['', 'workers', 'rows·steps/s', 'GFLOP/s', 'min … max', '÷ 1 worker'],
    ...report.workerCounts.map((workers) => row('base point', report, BASE, workers)),
    ...SHAPE_AXES.flatMap((axis) => rowsOf(report, axis)),
  ]);
}

function rowsOf(report: ScalingReport, axis: ShapeAxis): string[][] {
  return shapesOf(axis).flatMap((sizes) =>
    [1, report.workerCounts.at(-1)!].map((workers) =>
      row(`${axis}=${sizes[axis]}`, report, sizes, workers),
    ),
  );
}

function row(name: string, report: ScalingReport, sizes: Sizes, workers: number): string[] {
  const point = pointAt(report, sizes, workers);
  const one = pointAt(report, sizes, 1);
  const { gflops, rowStepsPerS } = toLinePoint(0, point);
  const ratio = ratiosOf(point.rowStepsPerS, one.rowStepsPerS).median;
  return [
    workers === 1 ? name : '',
    String(workers),
    formatNumber(rowStepsPerS),
    formatNumber(gflops.median),
    `${formatNumber(gflops.min)} … ${formatNumber(gflops.max)}`,
    workers === 1 ? '' : ratio.toFixed(2),
  ];
}

/** Throughput of two workers ÷ one, in two ways, beside that of two processes ÷ one. */
export function formatPair({ pair }: Measured): string {
  const machine = gainsOf(pair.processes);
  const row = (name: string, rates: OneAndTwo) => {
    const gains = gainsOf(rates);
    const { median, min, max } = spreadOf(gains);
    return [
      name,
      formatNumber(spreadOf(rates.one).median),
      formatNumber(spreadOf(rates.two).median),
      median.toFixed(2),
      `${min.toFixed(2)} … ${max.toFixed(2)}`,
      ratiosOf(gains, machine).median.toFixed(2),
      median >= PAIR_TARGET ? 'met' : 'MISSED',
    ];
  };
  const processes = row('two processes, nothing shared', pair.processes).with(-2, '').with(-1, '');
  return [
    `${formatSizes(pair.sizes)}: 2 workers ÷ 1, target ${PAIR_TARGET}`,
    formatTable([
      ['rows·steps/s', 'one', 'two', '÷ one', 'min … max', '÷ processes', ''],
      row('several jobs in flight', pair.inFlight),
      row('one job alone', pair.alone),
      processes,
    ]),
  ].join('\n');
}

function gainsOf({ one, two }: OneAndTwo): number[] {
  return two.map((rate, round) => rate / one[round]!);
}

/** The latency of one job alone with one worker and with two. */
export function formatAlone({ pair }: Measured): string {
  const { sizes, alone } = pair;
  const ms = (rowStepsPerS: readonly number[]) =>
    formatNumber(spreadOf(rowStepsPerS.map((rate) => (sizes.T * sizes.N * 1000) / rate)).median);
  return `One job alone, ${formatSizes(sizes)}: ${ms(alone.one)} ms with 1 worker, ${ms(alone.two)} ms with 2 workers`;
}

export function formatSizes({ N, H, T }: Sizes): string {
  return `N=${N} D=H=${H} T=${T}`;
}
