// npm run demo -- sunspots: a trained tanh layer forecasts each month of 264 years from those before it.
//
// The months go through a session, 267 at a time (/v1/sequence); the last 20 years also one by one (/v1/step), through a
// fork of it. All states must have the bits of one call with all months, and agree with torch within 2e-6.
import type { Client, Session } from './client.ts';
import { maxAbsError, rmse, sameBits } from './compare.ts';
import { readTensors, readText } from './data.ts';
import type { Demo, Outcome } from './demo-type.ts';
import { formatError, formatFigures } from './figures.ts';
import { plot } from './plot.ts';
import { SUNSPOTS_PER_UNIT, type SunspotRecord, readRecord } from './sunspot-record.ts';
import { forecast, measured } from './style.ts';

export const sunspots: Demo = {
  name: 'sunspots',
  summary: "next month's sunspots (tanh layer, dense)",
  title: 'Sunspots of each month, forecast from all months before it',
  options: [],
  prepare: () => run,
};

const CHUNK_STEPS = 267;
/** As many months are also computed one by one, and drawn. */
const LAST_MONTHS = 240;
/** Largest difference to torch's float64 that float32 and one rounded bias explain. */
const ERROR_MAX = 2e-6;
/** The first month, counted from 0, whose forecast counts: the last 48 years. */
const FIRST_SCORED_MONTH = 2601;

async function run(client: Client): Promise<Outcome> {
  const record = readRecord(readText('sunspots.csv'));
  const expected = readTensors('sunspots-expected.safetensors');
  const startMs = performance.now();
  const { inChunks, oneByOne } = await throughSessions(client, record.x);
  const perS = Math.round((1000 * (record.x.length + LAST_MONTHS)) / (performance.now() - startMs));
  const whole = await client.post<Computed>('/v1/sequence', { model: 'sunspots', x: inputs(record.x) });

  const hs = floats(whole.hs);
  const forecasts = whole.ys.map(([[y]]) => y! * SUNSPOTS_PER_UNIT);
  const numbers = {
    months: record.x.length,
    monthsPerS: perS,
    sameBits: {
      chunksAndWholeCall: sameBits(floats(inChunks.hs), hs),
      stepsAndSequence: sameBits(floats(oneByOne.hs), hs.subarray(-oneByOne.hs.length * oneByOne.hs[0]![0].length)),
    },
    maxAbsError: { hs: maxAbsError(hs, expected('hs')), y: maxAbsError(floats(whole.ys), expected('y')) },
    rmse: errorsOfForecasts(record, forecasts, Array.from(expected('y'), (y) => y * SUNSPOTS_PER_UNIT)),
  };
  console.log(plotLastYears(record, forecasts));
  console.log(describe(numbers));
  return { isRight: isRight(numbers), numbers };
}

interface Computed {
  readonly hs: readonly [readonly number[]][];
  readonly ys: readonly [readonly number[]][];
}

/** All months in chunks, and the last ones again one by one. */
async function throughSessions(client: Client, x: Float32Array): Promise<{ inChunks: Computed; oneByOne: Computed }> {
  await using session = await client.createSession('sunspots');
  const split = x.length - LAST_MONTHS;
  const start = await advance(client, session, x.subarray(0, split));
  await using fork = await client.fork(session);
  const end = await advance(client, session, x.subarray(split));
  const oneByOne: { hs: [number[]][]; ys: [number[]][] } = { hs: [], ys: [] };
  for (const month of x.subarray(split)) {
    const { h, y } = await client.post<{ h: [number[]]; y: [number[]] }>('/v1/step', { session: fork.id, x: [[month]] });
    oneByOne.hs.push(h);
    oneByOne.ys.push(y);
  }
  return { inChunks: { hs: [...start.hs, ...end.hs], ys: [...start.ys, ...end.ys] }, oneByOne };
}

async function advance(client: Client, session: Session, x: Float32Array): Promise<Computed> {
  const hs: [readonly number[]][] = [];
  const ys: [readonly number[]][] = [];
  for (let t = 0; t < x.length; t += CHUNK_STEPS) {
    const chunk = inputs(x.subarray(t, t + CHUNK_STEPS));
    const answer = await client.post<Computed>('/v1/sequence', { session: session.id, x: chunk });
    hs.push(...answer.hs);
    ys.push(...answer.ys);
  }
  return { hs, ys };
}

/** (T, N, D) with N = D = 1 */
function inputs(x: Float32Array): [[number]][] {
  return Array.from(x, (month) => [[month]]);
}

function floats(numbers: readonly [readonly number[]][]): Float32Array {
  return Float32Array.from(numbers.flat(2));
}

/**
 * Over the months 2601 … 3176, counted from 0 as the months that are forecast: month t is compared
 * with the forecast made after month t - 1. Persistence forecasts that nothing changes.
 */
function errorsOfForecasts({ sunspots }: SunspotRecord, forecasts: readonly number[], torch: readonly number[]) {
  const observed = sunspots.slice(FIRST_SCORED_MONTH);
  const error = (forecasts: readonly number[]) => rmse(forecasts.slice(FIRST_SCORED_MONTH - 1), observed);
  return {
    months: [FIRST_SCORED_MONTH, sunspots.length - 1],
    service: error(forecasts),
    torch: error(torch),
    persistence: error(sunspots),
  };
}

interface Numbers {
  readonly months: number;
  readonly monthsPerS: number;
  readonly sameBits: { readonly chunksAndWholeCall: boolean; readonly stepsAndSequence: boolean };
  readonly maxAbsError: { readonly hs: number; readonly y: number };
  readonly rmse: ReturnType<typeof errorsOfForecasts>;
}

/** False also if an error is NaN. */
function isRight({ sameBits: { chunksAndWholeCall, stepsAndSequence }, maxAbsError: { hs, y } }: Numbers): boolean {
  return chunksAndWholeCall && stepsAndSequence && hs <= ERROR_MAX && y <= ERROR_MAX;
}

function describe({ months, monthsPerS, sameBits, maxAbsError, rmse }: Numbers): string {
  const bits = (same: boolean) => (same ? 'the same bits' : 'DIFFERENT BITS');
  const figures = formatFigures('Forecasts of the last 48 years, RMSE in sunspots', [
    ['the network', rmse.service, rmse.torch],
    ['next month = this month', rmse.persistence, undefined],
  ], 4);
  return `${figures}

  ${months.toLocaleString('en')} months in chunks, and in one call    ${bits(sameBits.chunksAndWholeCall)}
  the last ${LAST_MONTHS} one by one, by a fork        ${bits(sameBits.stepsAndSequence)}
  largest difference to torch            ${formatError(maxAbsError.hs, ERROR_MAX)} of h, ${formatError(maxAbsError.y, ERROR_MAX)} of y
  speed                                  ${monthsPerS.toLocaleString('en')} months/s
`;
}

function plotLastYears({ sunspots, years }: SunspotRecord, forecasts: readonly number[]): string {
  const start = sunspots.length - LAST_MONTHS;
  const curves = plot({
    area: sunspots.slice(start),
    dots: forecasts.slice(start - 1, -1),
    from: String(Math.floor(years[start]!)),
    to: String(Math.floor(years.at(-1)!)),
    unit: 50,
  });
  return `${curves}\n      ${measured('█')} observed   ${forecast('●')} forecast one month ahead\n`;
}
