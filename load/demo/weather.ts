// npm run demo -- weather: a trained GRU forecasts the highest temperature of the next day in Seattle.
//
// Four years of days go through one /v1/sequence. The model scales the features itself, by its affine layer, and its
// dense layer answers in °C. It was trained on the years before 2015, so the forecasts of 2015 are those that count.
import type { Carryover, Tensor } from '../../src/client/index.ts';
import { maxAbsError, rmse } from './compare.ts';
import { readJson, readTensors, readText } from './data.ts';
import type { Demo, Outcome } from './demo-type.ts';
import { formatError, formatFigures } from './figures.ts';
import { plot } from './plot.ts';
import { formatClaims } from './proof.ts';
import { forecast, measured } from './style.ts';
import { type WeatherRecord, readWeather } from './weather-record.ts';

export const weather: Demo = {
  name: 'weather',
  summary: "tomorrow's highest temperature in Seattle (GRU)",
  title: 'Highest temperature in Seattle, forecast from the days before, °C',
  options: [],
  prepare: () => run,
};

/** Largest differences to torch that float32 explains: of h, of a forecast in °C, and of RMSE in °C. */
const ERROR_MAX = { h: 1e-6, y: 2e-5, rmse: 1e-6 };
const SCORED_YEAR = '2015';
/** Days of the table. */
const LAST_DAYS = 7;

interface Description {
  readonly test_rmse_2015: number;
  readonly persistence_rmse_2015: number;
}

async function run(carryover: Carryover): Promise<Outcome> {
  const record = readWeather(readText('weather.csv'));
  const torch = readJson('weather.json') as Description;
  const expected = readTensors('weather-expected.safetensors');
  const x = record.x.map((day) => [day]);
  const { ys, h } = await carryover.sequence({ model: 'weather', x, outputs: ['ys', 'h'] });

  const forecasts = [...ys!.data];
  const maxError = { h: maxAbsError((h as Tensor).data, expected('h')), y: maxAbsError(forecasts, expected('y')) };
  const days = record.dates.flatMap((date, t) => (date.startsWith(SCORED_YEAR) ? [t] : []));
  const highest = days.map((t) => record.highest[t]!);
  const ofDays = (values: readonly number[]) => days.map((t) => values[t - 1]!);
  const errors = { network: rmse(ofDays(forecasts), highest), persistence: rmse(ofDays(record.highest), highest) };
  const isExact = maxError.h <= ERROR_MAX.h && maxError.y <= ERROR_MAX.y;
  const isAsGood =
    Math.abs(errors.network - torch.test_rmse_2015) <= ERROR_MAX.rmse &&
    Math.abs(errors.persistence - torch.persistence_rmse_2015) <= ERROR_MAX.rmse;

  console.log(plotYear(highest, ofDays(forecasts)));
  console.log(tableOfLastDays(record, forecasts));
  console.log(`
${formatFigures(`The ${days.length} days of ${SCORED_YEAR}, not trained on, RMSE in °C`, [
    ['the network', errors.network, torch.test_rmse_2015],
    ['tomorrow = today', errors.persistence, torch.persistence_rmse_2015],
  ], 6)}

  largest difference to torch in ${forecasts.length.toLocaleString('en')} days: ${formatError(maxError.y, ERROR_MAX.y)} °C

${formatClaims([
    [isExact, 'the GRU computes what torch computes, as far as float32 goes'],
    [isAsGood && errors.network < errors.persistence, 'its forecasts are as good as with torch, and better than "tomorrow = today"'],
  ])}
`);
  return { isRight: isExact && isAsGood, numbers: { days: days.length, rmse: { service: errors, torch }, maxAbsError: maxError } };
}

function plotYear(highest: readonly number[], forecasts: readonly number[]): string {
  const curves = plot({ area: highest, dots: forecasts, from: 'January', to: 'December', unit: 10 });
  return `${curves}\n      ${measured('█')} measured   ${forecast('●')} forecast the day before   (${SCORED_YEAR}, means of five days)\n`;
}

/** The last days of the record, and the day after it, of which only the forecast is known. */
function tableOfLastDays({ dates, highest }: WeatherRecord, forecasts: readonly number[]): string {
  const start = dates.length - LAST_DAYS;
  const row = (label: string, cells: readonly string[]) => `  ${label.padEnd(12)}${cells.map((cell) => cell.padStart(8)).join('')}`;
  const celsius = (values: readonly number[]) => values.map((value) => value.toFixed(1));
  return [
    row('', [...dates.slice(start).map((date) => date.slice(5)), 'next']),
    row('measured', celsius(highest.slice(start))),
    row('forecast', celsius(forecasts.slice(start - 1))),
  ].join('\n');
}
