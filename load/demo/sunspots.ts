// npm run demo: a trained network computes 264 years of sunspots through a running service.
//
// The months go through it twice, 256 at a time (/v1/sequence) and one by one (/v1/step). All states must have the
// same bits, and agree with torch within 2e-6. After each month the readout forecasts the next one.
//
//   node load/demo/sunspots.ts [--url http://127.0.0.1:8080] [--json FILE]
//
// Exit code 1 if the bits differ, if the error against torch is beyond 2e-6, or without a service.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { readSafetensors } from '../../src/codec/safetensors/read.ts';
import { startProgress } from '../report/progress.ts';
import { Client, DemoError } from './client.ts';
import { maxAbsError, rmse, sameBits } from './compare.ts';
import { type Model, readModel } from './model.ts';
import { plot } from './plot.ts';
import { SUNSPOTS_PER_UNIT, type SunspotRecord, readRecord } from './record.ts';

const CHUNK_STEPS = 256;
/** Largest difference to torch's float64 that float32 and one rounded bias explain. */
const ERROR_MAX = 2e-6;
/** The first month, counted from 0, whose forecast counts: the last 48 years. */
const FIRST_SCORED_MONTH = 2601;
const PLOT = { months: 240, columns: 74, rows: 12 };

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof DemoError)) throw error;
  console.error(error.message);
  process.exitCode = 1;
}

async function main(): Promise<number> {
  const { url, json } = readArguments();
  const record = readRecord(fixture('sunspots.csv').toString('utf8'));
  const model = readModel(fixture('sunspots.safetensors'));
  const expected = readSafetensors(fixture('sunspots-expected.safetensors')).get('hs')!.data;
  const client = new Client(url, model.weights);
  await client.expectService();

  const sequence = await streamSequence(client, record, model);
  const whole = await client.sequence(record.x, new Float32Array(model.weights.H));
  const step = await streamSteps(client, record, model);

  const H = model.weights.H;
  const last = (hs: Float32Array) => hs.subarray(-H);
  const forecasts = forecastAll(model, step.hs);
  const numbers = {
    months: record.x.length,
    sameBits: {
      chunksAndWholeCall: sameBits(sequence.hs, whole.hs) && sameBits(last(sequence.hs), whole.h),
      stepsAndSequence: sameBits(step.hs, sequence.hs),
    },
    maxAbsError: maxAbsError(sequence.hs, expected),
    rmse: errorsOfForecasts(record, forecasts),
    sequence: ratesOf(sequence, record),
    step: ratesOf(step, record),
  };
  console.log(describe(numbers));
  console.log(plotLastYears(record, forecasts));
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(numbers, undefined, 2)}\n`);
  return isRight(numbers) ? 0 : 1;
}

function readArguments(): { url: string; json: string | undefined } {
  try {
    const { values } = parseArgs({
      options: {
        url: { type: 'string', default: 'http://127.0.0.1:8080' },
        json: { type: 'string' },
      },
    });
    if (!URL.canParse(values.url)) throw new Error(`--url ${values.url} is not an address`);
    return { url: values.url, json: values.json };
  } catch (error) {
    throw new DemoError((error as Error).message);
  }
}

function fixture(name: string): Buffer {
  return readFileSync(join(import.meta.dirname, '../../test/fixtures/demo', name));
}

interface Streamed {
  /** (T, H) */
  readonly hs: Float32Array;
  readonly requests: number;
  readonly seconds: number;
}

/** The whole record in chunks; each starts from the last state of the chunk before. */
async function streamSequence(client: Client, { x }: SunspotRecord, { weights }: Model) {
  return stream('sequence', x.length, CHUNK_STEPS, weights.H, (t, h) =>
    client.sequence(x.subarray(t, t + CHUNK_STEPS), h),
  );
}

/** The whole record month by month. */
async function streamSteps(client: Client, { x }: SunspotRecord, { weights }: Model) {
  return stream('step', x.length, 1, weights.H, async (t, h) => {
    const next = await client.step(x.subarray(t, t + 1), h);
    return { hs: next, h: next };
  });
}

type Advance = (
  t: number,
  h: Float32Array,
) => Promise<{ readonly hs: Float32Array; readonly h: Float32Array }>;

async function stream(
  what: string,
  T: number,
  stride: number,
  H: number,
  advance: Advance,
): Promise<Streamed> {
  const hs = new Float32Array(T * H);
  const progress = startProgress(what.padEnd(8), T);
  const startMs = performance.now();
  let h: Float32Array = new Float32Array(H);
  let requests = 0;
  for (let t = 0; t < T; t += stride, requests++) {
    const answer = await advance(t, h);
    hs.set(answer.hs, t * H);
    h = answer.h;
    progress.update(Math.min(T, t + stride));
  }
  progress.stop();
  return { hs, requests, seconds: (performance.now() - startMs) / 1000 };
}

/** The forecast for month t + 1, in sunspots, made from the state after month t. */
function forecastAll({ weights, readout }: Model, hs: Float32Array): number[] {
  const { H } = weights;
  return Array.from(
    { length: hs.length / H },
    (_, t) => readout(hs.subarray(t * H, (t + 1) * H)) * SUNSPOTS_PER_UNIT,
  );
}

/**
 * Over the months 2601 … 3176, counted from 0 as the months that are forecast: month t is compared
 * with the forecast made after month t - 1. Persistence forecasts that nothing changes.
 */
function errorsOfForecasts({ sunspots }: SunspotRecord, forecasts: readonly number[]) {
  const observed = sunspots.slice(FIRST_SCORED_MONTH);
  return {
    months: [FIRST_SCORED_MONTH, sunspots.length - 1],
    model: rmse(forecasts.slice(FIRST_SCORED_MONTH - 1), observed),
    persistence: rmse(sunspots.slice(FIRST_SCORED_MONTH - 1), observed),
  };
}

function ratesOf({ requests, seconds }: Streamed, { x }: SunspotRecord) {
  return { requests, requestsPerS: requests / seconds, monthsPerS: x.length / seconds };
}

interface Numbers {
  readonly months: number;
  readonly sameBits: { readonly chunksAndWholeCall: boolean; readonly stepsAndSequence: boolean };
  readonly maxAbsError: number;
  readonly rmse: ReturnType<typeof errorsOfForecasts>;
  readonly sequence: ReturnType<typeof ratesOf>;
  readonly step: ReturnType<typeof ratesOf>;
}

/** False also if the error is NaN. */
function isRight({ sameBits: { chunksAndWholeCall, stepsAndSequence }, maxAbsError }: Numbers) {
  return chunksAndWholeCall && stepsAndSequence && maxAbsError <= ERROR_MAX;
}

function describe({ months, sameBits, maxAbsError, rmse, sequence, step }: Numbers): string {
  const bits = (same: boolean) => (same ? 'the same bits' : 'DIFFERENT BITS');
  const rates = ({ requests, requestsPerS, monthsPerS }: Numbers['step']) =>
    `${requests} requests, ${round(requestsPerS)} requests/s, ${round(monthsPerS)} months/s`;
  const limit = ERROR_MAX.toExponential();
  const verdict = maxAbsError <= ERROR_MAX ? 'within' : 'BEYOND';
  const error = `${maxAbsError.toExponential(2)}, ${verdict} ${limit}`;
  return `
Sunspots, ${months} months; h_t = tanh(h_{t-1} W_h + x_t W_x + b), h_t forecasts month t + 1

  /v1/sequence             ${rates(sequence)}
  /v1/step                 ${rates(step)}
  chunks and whole call    ${bits(sameBits.chunksAndWholeCall)}
  steps and sequence       ${bits(sameBits.stepsAndSequence)}
  against torch, float64   largest error ${error}

  Forecasts of the months ${rmse.months.join(' … ')} (counted from 0), RMSE in sunspots
    model                  ${rmse.model.toFixed(2)}
    persistence            ${rmse.persistence.toFixed(2)}   (next month = this month)
`;
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}

function plotLastYears({ sunspots, years }: SunspotRecord, forecasts: readonly number[]): string {
  const { months, columns, rows } = PLOT;
  const start = sunspots.length - months;
  const curves = plot({
    area: sunspots.slice(start),
    dots: forecasts.slice(start - 1, -1),
    from: Math.floor(years[start]!),
    to: Math.floor(years.at(-1)!),
    columns,
    rows,
  });
  return `${curves}\n      █ observed   ● forecast one month ahead\n`;
}
