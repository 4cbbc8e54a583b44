// npm run demo -- sunspots: a trained tanh layer forecasts each month of 264 years from those before it.
//
// The months go through a session, 267 at a time; the last 20 years also one by one, over a WebSocket, through a fork of it.
// All states must have the bits of one call with all months, and agree with torch within 2e-6.
import { type Carryover, type Session, Tensor } from '../../src/client/index.ts';
import { maxAbsError, rmse, sameBits } from './compare.ts';
import { readTensors, readText } from './data.ts';
import type { Demo, Outcome } from './demo-type.ts';
import { formatError, formatFigures } from './figures.ts';
import { plot } from './plot.ts';
import { formatClaims } from './proof.ts';
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

async function run(carryover: Carryover): Promise<Outcome> {
  const record = readRecord(readText('sunspots.csv'));
  const expected = readTensors('sunspots-expected.safetensors');
  const startMs = performance.now();
  const { inChunks, oneByOne } = await throughSessions(carryover, record.x);
  const perS = Math.round((1000 * (record.x.length + LAST_MONTHS)) / (performance.now() - startMs));
  const whole = await carryover.sequence({ model: 'sunspots', x: inputs(record.x) });

  const [hs, ys] = [whole.hs!.data, whole.ys!.data];
  const forecasts = Array.from(ys, (y) => y * SUNSPOTS_PER_UNIT);
  const numbers = {
    months: record.x.length,
    monthsPerS: perS,
    sameBits: {
      chunksAndWholeCall: sameBits(joined(inChunks), hs),
      stepsAndSequence: sameBits(joined(oneByOne), hs.subarray((-LAST_MONTHS * hs.length) / record.x.length)),
    },
    maxAbsError: { hs: maxAbsError(hs, expected('hs')), y: maxAbsError(ys, expected('y')) },
    rmse: errorsOfForecasts(record, forecasts, Array.from(expected('y'), (y) => y * SUNSPOTS_PER_UNIT)),
  };
  console.log(plotLastYears(record, forecasts));
  console.log(describe(numbers));
  return { isRight: isRight(numbers), numbers };
}

/** The states of all months in chunks, and of the last ones again one by one. */
async function throughSessions(carryover: Carryover, x: Float32Array) {
  await using session = await carryover.sessions.create({ model: 'sunspots' });
  const split = x.length - LAST_MONTHS;
  const start = await advance(session, x.subarray(0, split));
  await using fork = await session.fork();
  const end = await advance(session, x.subarray(split));
  const oneByOne: Float32Array[] = [];
  const months = Array.from(x.subarray(split), (month) => [[month]]);
  for await (const { h } of fork.stream(months)) oneByOne.push((h as Tensor).data);
  return { inChunks: [...start, ...end], oneByOne };
}

/** The states of each chunk, (steps, 1, H). */
async function advance(session: Session, x: Float32Array): Promise<Float32Array[]> {
  const chunks: Float32Array[] = [];
  for (let t = 0; t < x.length; t += CHUNK_STEPS) {
    const { hs } = await session.sequence(inputs(x.subarray(t, t + CHUNK_STEPS)));
    chunks.push(hs!.data);
  }
  return chunks;
}

/** (T, N, D) with N = D = 1 */
function inputs(x: Float32Array): Tensor {
  return new Tensor([x.length, 1, 1], x);
}

function joined(parts: readonly Float32Array[]): Float32Array {
  return Float32Array.from(parts.flatMap((part) => [...part]));
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

function isRight({ sameBits: { chunksAndWholeCall, stepsAndSequence }, maxAbsError }: Numbers): boolean {
  return chunksAndWholeCall && stepsAndSequence && isExact(maxAbsError);
}

/** False also if an error is NaN. */
function isExact({ hs, y }: Numbers['maxAbsError']): boolean {
  return hs <= ERROR_MAX && y <= ERROR_MAX;
}

function describe({ months, monthsPerS, sameBits, maxAbsError, rmse }: Numbers): string {
  const figures = formatFigures('Forecasts of the last 48 years, RMSE in sunspots', [
    ['the network', rmse.service, rmse.torch],
    ['next month = this month', rmse.persistence, undefined],
  ], 4);
  return `${figures}

  largest difference to torch            ${formatError(maxAbsError.hs, ERROR_MAX)} of h, ${formatError(maxAbsError.y, ERROR_MAX)} of y
  speed                                  ${monthsPerS.toLocaleString('en')} months/s

${formatClaims([
    [sameBits.chunksAndWholeCall, `${months.toLocaleString('en')} months in chunks and in one call have the same bits`],
    [sameBits.stepsAndSequence, `so have the last ${LAST_MONTHS}, one by one over a WebSocket, by a fork of the session`],
    [isExact(maxAbsError), 'the network computes what torch computes, as far as float32 goes'],
  ])}
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
