// Latency against rate as an SVG document: a colour for each variant, a kind of line for each percentile, and a logarithmic axis of
// latencies. It needs nothing from elsewhere, and follows the light or dark scheme of the reader.
import { niceCeiling, formatTick, path, round, text, ticksUpTo } from '../report/svg.ts';
import { type RateResult, medianOf } from './measure.ts';
import { PERCENTILES } from './report.ts';

const WIDTH = 900;
const HEIGHT = 578;
const PLOT = { left: 80, top: 92, width: 790, height: 370 };
const COLOURS = 4;

const STYLE = `
  text { font: 13px system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif; fill: #24292f }
  .title { font-size: 19px; font-weight: 600 }
  .small { font-size: 11.5px; fill: #57606a }
  .card { fill: #ffffff; stroke: #d0d7de }
  .grid { stroke: #d8dee4 }
  .axis { stroke: #8c959f }
  .line { fill: none; stroke-width: 2.2; stroke-linejoin: round }
  .key { stroke: #57606a; fill: none; stroke-width: 2.2 }
  .p1 { stroke-dasharray: 7 4 } .p2 { stroke-dasharray: 2 4 }
  .v0 { stroke: #0969da } .v1 { stroke: #bc4c00 } .v2 { stroke: #6639ba } .v3 { stroke: #1a7f37 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .small { fill: #9198a1 }
    .card { fill: #0d1117; stroke: #3d444d }
    .grid { stroke: #262c36 }
    .axis { stroke: #656c76 }
    .key { stroke: #9198a1 }
    .v0 { stroke: #58a6ff } .v1 { stroke: #f0883e } .v2 { stroke: #bc8cff } .v3 { stroke: #56d364 }
  }`;

export interface ChartTexts {
  readonly title: string;
  /** Lines below the chart. */
  readonly notes: readonly [string, string, string];
}

type Scale = (value: number) => number;

export function plotRates(results: readonly RateResult[], { title, notes }: ChartTexts): string {
  const latencies = results.flatMap(({ points }) => points.flatMap((rounds) => PERCENTILES.map(({ of }) => medianOf(rounds, of))));
  const present = latencies.filter((ms) => Number.isFinite(ms) && ms > 0);
  const rateMax = niceCeiling(Math.max(...results.flatMap(({ points }) => points.map(([first]) => first!.perS))));
  const [low, high] = [Math.floor(Math.log10(Math.min(...present))), Math.ceil(Math.log10(Math.max(...present)))];
  const x: Scale = (perS) => (PLOT.width * perS) / rateMax;
  const y: Scale = (ms) => PLOT.height * (1 - (Math.log10(ms) - low) / Math.max(1, high - low));
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img">
<title>${title}</title>
<style>${STYLE}
</style>
<rect class="card" x="0.5" y="0.5" width="${WIDTH - 1}" height="${HEIGHT - 1}" rx="8"/>
${text(24, 36, title, { style: 'title' })}
${drawKeys(results)}
<g transform="translate(${PLOT.left} ${PLOT.top})">
${[drawLatencies(low, high, y), drawRatesAxis(rateMax, x), ...results.map((result, v) => drawVariant(result, v, x, y))].join('\n')}
</g>
${notes.map((note, k) => text(24, HEIGHT - 54 + 18 * k, note, { style: 'small' })).join('\n')}
</svg>
`;
}

function drawVariant({ points }: RateResult, v: number, x: Scale, y: Scale): string {
  const lines = PERCENTILES.map(({ of }, p) => {
    const at = points
      .map((rounds) => ({ perS: rounds[0]!.perS, ms: medianOf(rounds, of) }))
      .filter(({ ms }) => Number.isFinite(ms) && ms > 0)
      .toSorted((a, b) => a.perS - b.perS)
      .map(({ perS, ms }) => `${round(x(perS))} ${round(y(ms))}`);
    // A round stroke of no length is a dot: it shows a point that has no neighbour.
    return at.length === 0 ? '' : path(`line p${p} v${v % COLOURS}`, `M${at.join('L')}${at.length === 1 ? 'h4' : ''}`);
  });
  return lines.join('\n');
}

/** 1, 2 and 5 of each power of ten. */
function drawLatencies(low: number, high: number, y: Scale): string {
  const ticks: string[] = [];
  for (let power = low; power <= high; power++) {
    for (const digit of power === high ? [1] : [1, 2, 5]) {
      const ms = digit * 10 ** power;
      const at = round(y(ms));
      const label = new Intl.NumberFormat('en', { maximumSignificantDigits: 1 }).format(ms);
      ticks.push(path('grid', `M0 ${at}H${PLOT.width}`), text(-8, at + 4, label, { style: 'small', anchor: 'end' }));
    }
  }
  return [...ticks, text(-56, -12, 'latency in ms', { style: 'small' })].join('\n');
}

function drawRatesAxis(rateMax: number, x: Scale): string {
  const bottom = PLOT.height;
  const ticks = ticksUpTo(rateMax).map((perS) => {
    const at = round(x(perS));
    return path('axis', `M${at} ${bottom}v5`) + text(at, bottom + 19, formatTick(perS), { style: 'small', anchor: 'middle' });
  });
  return [path('axis', `M0 ${bottom}H${PLOT.width}`), ...ticks, text(PLOT.width, bottom + 36, 'requests/s', { style: 'small', anchor: 'end' })].join('\n');
}

function drawKeys(results: readonly RateResult[]): string {
  const keys = [
    ...results.map(({ name }, v) => ({ name, style: `line v${v % COLOURS}` })),
    ...PERCENTILES.map(({ name }, p) => ({ name, style: `key p${p}` })),
  ];
  let at = 24;
  return keys
    .map(({ name, style }) => {
      const drawn = path(style, `M${at} 58h28`) + text(at + 34, 62, name, { style: 'small' });
      at += 34 + 7 * name.length + 24;
      return drawn;
    })
    .join('\n');
}
