// load/results/scaling.svg: four panels with one scale of GFLOP/s. It has a background of its own, so that it
// can be read on any page, and follows the light or dark scheme of the reader.
import { describeMachine } from '../report/machine.ts';
import { BASE } from './points.ts';
import {
  type LinePoint,
  type ScalingReport,
  formatAlone,
  formatSizes,
  gflopOfRowStep,
  lineOverShapes,
  lineOverWorkers,
} from './report.ts';
import { formatCompact, formatTick, niceCeiling, path, round, text, ticksUpTo } from '../report/svg.ts';

const WIDTH = 1000;
const HEIGHT = 825;
/** Of a panel's plot area. */
const PANEL = { width: 350, height: 235 };
const LEFTS = [75, 560];
const TOPS = [140, 475];
/** Between the frame and the outermost points. */
const INSET = 28;

const STYLE = `
  text { font: 13px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #24292f }
  .title { font-size: 20px; font-weight: 600 }
  .panel-title { font-size: 14px; font-weight: 600 }
  .small { font-size: 11.5px; fill: #57606a }
  .card { fill: #ffffff; stroke: #d0d7de }
  .grid { stroke: #d8dee4 }
  .axis { stroke: #8c959f }
  .line { fill: none; stroke-width: 2.2; stroke-linejoin: round }
  .range { opacity: 0.16; stroke: none }
  .ideal { fill: none; stroke: #8c959f; stroke-width: 1.6; stroke-dasharray: 5 4 }
  .one { stroke: #bc4c00 } .one-fill { fill: #bc4c00 }
  .all { stroke: #0969da } .all-fill { fill: #0969da }
  .each { stroke: #6639ba } .each-fill { fill: #6639ba }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .small { fill: #9198a1 }
    .card { fill: #0d1117; stroke: #3d444d }
    .grid { stroke: #262c36 }
    .axis, .ideal { stroke: #656c76 }
    .one { stroke: #f0883e } .one-fill { fill: #f0883e }
    .all { stroke: #58a6ff } .all-fill { fill: #58a6ff }
    .each { stroke: #bc8cff } .each-fill { fill: #bc8cff }
  }`;

/** A line and how it is drawn: with one worker, with all, or with each number of them. */
interface Series {
  readonly kind: 'one' | 'all' | 'each';
  readonly line: readonly LinePoint[];
}

interface Panel {
  readonly title: string;
  readonly xLabel: string;
  readonly series: readonly Series[];
  /** The throughput of one worker times the number of workers. */
  readonly ideal?: readonly LinePoint[];
  /** rows·steps/s are GFLOP/s in another unit only while H stays the same. */
  readonly rowSteps: 'axis' | 'labels';
}

export function plotScaling(report: ScalingReport): string {
  const panels = panelsOf(report);
  const top = niceCeiling(Math.max(...panels.flatMap(heightsOf)));
  const body = panels.map((panel, i) => {
    const at = `translate(${LEFTS[i % 2]} ${TOPS[i >> 1]})`;
    return `<g transform="${at}">\n${drawPanel(panel, top)}\n</g>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}"
  width="${WIDTH}" height="${HEIGHT}" role="img">
<title>Throughput of the worker pool</title>
<style>${STYLE}
</style>
<rect class="card" x="0.5" y="0.5" width="${WIDTH - 1}" height="${HEIGHT - 1}" rx="8"/>
${drawHeader(report)}
${body.join('\n')}
${text(24, HEIGHT - 18, `${formatAlone(report)}.`, { style: 'small' })}
</svg>
`;
}

function panelsOf(report: ScalingReport): Panel[] {
  const overWorkers = lineOverWorkers(report);
  const all = report.workerCounts.at(-1)!;
  const overShapes = (axis: 'N' | 'H' | 'T'): Series[] => [
    { kind: 'one', line: lineOverShapes(report, axis, 1) },
    { kind: 'all', line: lineOverShapes(report, axis, all) },
  ];
  return [
    {
      title: 'Workers',
      xLabel: 'worker threads',
      series: [{ kind: 'each', line: overWorkers }],
      ideal: idealOf(overWorkers),
      rowSteps: 'axis',
    },
    { title: 'N', xLabel: 'rows of the mini-batch', series: overShapes('N'), rowSteps: 'axis' },
    {
      title: 'H',
      xLabel: `hidden units, D = H, and rows·steps/s with ${all} workers`,
      series: overShapes('H'),
      rowSteps: 'labels',
    },
    { title: 'T', xLabel: 'steps of a job', series: overShapes('T'), rowSteps: 'axis' },
  ];
}

function idealOf(line: readonly LinePoint[]): LinePoint[] {
  const one = line[0]!.gflops.median;
  return line.map(({ value, rowStepsPerS }) => {
    const ideal = one * value;
    return { value, rowStepsPerS, gflops: { median: ideal, min: ideal, max: ideal } };
  });
}

function heightsOf({ series, ideal }: Panel): number[] {
  return [...series.flatMap(({ line }) => line), ...(ideal ?? [])].map(({ gflops }) => gflops.max);
}

function drawHeader({ machine, date, rounds, workerCounts }: ScalingReport): string {
  const base = formatSizes(BASE);
  const all = workerCounts.at(-1)!;
  return [
    text(24, 38, 'Throughput of the worker pool', { style: 'title' }),
    text(24, 62, `${describeMachine(machine)} · ${date.slice(0, 10)}`, { style: 'small' }),
    text(24, 82, `One axis at a time around ${base}, several jobs in flight.`, { style: 'small' }),
    text(24, 99, `Lines are the median of ${rounds} rounds, bands their min … max.`, {
      style: 'small',
    }),
    drawLegend(WIDTH - 24 - 300, 38, all),
  ].join('\n');
}

function drawLegend(x: number, y: number, all: number): string {
  const entry = (at: number, label: string, sample: string) =>
    `${sample}\n${text(at + 32, y, label)}`;
  return [
    entry(x, '1 worker', swatch('one', x, y)),
    entry(x + 105, `${all} workers`, swatch('all', x + 105, y)),
    entry(x + 215, 'n × one', path('ideal', `M${x + 215} ${y - 4}h26`)),
  ].join('\n');
}

function swatch(kind: Series['kind'], x: number, y: number): string {
  return `${path(`line ${kind}`, `M${x} ${y - 4}h26`)}${marker(kind, x + 13, y - 4)}`;
}

function drawPanel(panel: Panel, top: number): string {
  const values = panel.series[0]!.line.map(({ value }) => value);
  const x = logScale(values);
  const y = (gflops: number) => PANEL.height * (1 - gflops / top);
  return [
    text(0, -14, panel.title, { style: 'panel-title' }),
    drawYAxis(top, y),
    panel.rowSteps === 'axis' ? drawRowStepsAxis(top, y) : '',
    drawXAxis(panel, values, x),
    panel.ideal ? path('ideal', polyline(panel.ideal, x, y)) : '',
    ...panel.series.map((series) => drawSeries(series, x, y)),
    panel.rowSteps === 'labels' ? drawRowStepsLabels(panel.series.at(-1)!.line, x) : '',
  ].join('\n');
}

type Scale = (value: number) => number;

/** The first value at the left, the last at the right, twice as much is always as far. */
function logScale(values: readonly number[]): Scale {
  const first = Math.log2(values[0]!);
  const span = Math.log2(values.at(-1)!) - first;
  return (value) => INSET + ((Math.log2(value) - first) / span) * (PANEL.width - 2 * INSET);
}

function drawYAxis(top: number, y: Scale): string {
  const ticks = ticksUpTo(top).map((tick) => {
    const at = round(y(tick));
    return [
      `<path class="grid" d="M0 ${at}H${PANEL.width}"/>`,
      text(-8, at + 4, formatTick(tick), { style: 'small', anchor: 'end' }),
    ].join('');
  });
  return [...ticks, rotatedText(-48, 'GFLOP/s')].join('\n');
}

/** The same heights in the other unit, at the right. */
function drawRowStepsAxis(top: number, y: Scale): string {
  const perGflops = 1 / gflopOfRowStep(BASE);
  const ticks = ticksUpTo(top * perGflops).map((tick) => {
    const at = round(y(tick / perGflops));
    return [
      `<path class="axis" d="M${PANEL.width} ${at}h5"/>`,
      text(PANEL.width + 9, at + 4, formatCompact(tick), { style: 'small' }),
    ].join('');
  });
  return [...ticks, rotatedText(PANEL.width + 56, 'rows·steps/s')].join('\n');
}

function drawXAxis({ xLabel, rowSteps }: Panel, values: readonly number[], x: Scale): string {
  const bottom = PANEL.height;
  const ticks = values.map((value) => {
    const at = round(x(value));
    return [
      `<path class="axis" d="M${at} ${bottom}v5"/>`,
      text(at, bottom + 19, String(value), { style: 'small', anchor: 'middle' }),
    ].join('');
  });
  const labelAt = bottom + (rowSteps === 'labels' ? 54 : 38);
  return [
    `<path class="axis" d="M0 ${bottom}H${PANEL.width}"/>`,
    ...ticks,
    text(PANEL.width / 2, labelAt, xLabel, { style: 'small', anchor: 'middle' }),
  ].join('\n');
}

function drawSeries({ kind, line }: Series, x: Scale, y: Scale): string {
  const upper = line.map(({ value, gflops }) => `${round(x(value))} ${round(y(gflops.max))}`);
  const lower = line.map(({ value, gflops }) => `${round(x(value))} ${round(y(gflops.min))}`);
  return [
    path(`range ${kind}-fill`, `M${[...upper, ...lower.toReversed()].join('L')}Z`),
    path(`line ${kind}`, polyline(line, x, y)),
    ...line.map(({ value, gflops }) => marker(kind, x(value), y(gflops.median))),
  ].join('\n');
}

/** rows·steps/s under each tick, for an axis along which their ratio to GFLOP/s changes. */
function drawRowStepsLabels(line: readonly LinePoint[], x: Scale): string {
  const labels = line.map(({ value, rowStepsPerS }) =>
    text(x(value), PANEL.height + 36, formatCompact(rowStepsPerS), {
      style: 'small',
      anchor: 'middle',
    }),
  );
  return labels.join('\n');
}

function polyline(line: readonly LinePoint[], x: Scale, y: Scale): string {
  const points = line.map(({ value, gflops }) => `${round(x(value))} ${round(y(gflops.median))}`);
  return `M${points.join('L')}`;
}

const MARKERS: Record<Series['kind'], string> = {
  one: 'm-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z',
  all: 'm-4 -4h8v8h-8z',
  each: 'm0 -5.5l5.5 5.5l-5.5 5.5l-5.5 -5.5z',
};

function marker(kind: Series['kind'], x: number, y: number): string {
  return path(`${kind}-fill`, `M${round(x)} ${round(y)}${MARKERS[kind]}`);
}

/** Beside a vertical axis, rotated by 90°. */
function rotatedText(x: number, content: string): string {
  const at = `translate(${x} ${PANEL.height / 2}) rotate(-90)`;
  return `<g transform="${at}">${text(0, 0, content, { style: 'small', anchor: 'middle' })}</g>`;
}
