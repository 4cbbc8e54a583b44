// What the page reads out of a CSV file, or of numbers that were pasted.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readRecord } from '../../load/demo/sunspot-record.ts';
import { readWeather } from '../../load/demo/weather-record.ts';
import { SAMPLES } from '../../src/pages/built-in.ts';
import { parseCsv } from '../../src/pages/try/csv.ts';

test.each([
  ['one column', '1\n2.5\n-3e-1\n', { columns: ['1'], rows: [[1], [2.5], [-0.3]], leftOut: [] }],
  ['one line', '1, 2, 3', { columns: ['1'], rows: [[1], [2], [3]], leftOut: [] }],
  ['spaces', '1 2\n3   4\n', { columns: ['1', '2'], rows: [[1, 2], [3, 4]], leftOut: [] }],
  ['a heading, quotes, semicolons', '"a";"b"\r\n1;2\r\n3;4\r\n', { columns: ['a', 'b'], rows: [[1, 2], [3, 4]], leftOut: [] }],
  [
    'dates and words',
    'day,x,sky\n2024-01-01,1,sun\n2024-01-02,2,rain\n',
    { columns: ['x'], rows: [[1], [2]], labels: ['2024-01-01', '2024-01-02'], leftOut: ['sky'] },
  ],
  ['a gap', 'a,b\n1,2\n3,\n', { columns: ['a'], rows: [[1], [3]], leftOut: ['b'] }],
  ['a short line', '1,2\n3\n4,5\n', { columns: ['1', '2'], rows: [[1, 2], [4, 5]], leftOut: [] }],
])('%s', (_, text, expected) => {
  expect(parseCsv(text)).toEqual(expected);
});

test.each(['', '\n\n', 'no numbers here', 'a,b\nc,d\n'])('%j has no numbers', (text) => {
  expect(parseCsv(text)).toBeUndefined();
});

const read = (file: string | URL) => readFileSync(file, 'utf8');
const demoData = join(import.meta.dirname, '../../load/demo/data');

test('the samples are the end of what the demos compute with', () => {
  const sunspots = parseCsv(read(SAMPLES.get('sunspots')!.address))!;
  const record = readRecord(read(join(demoData, 'sunspots.csv')));
  expect(sunspots.rows.flat()).toEqual(record.sunspots.slice(-480));
  const weather = parseCsv(read(SAMPLES.get('weather')!.address))!;
  const days = readWeather(read(join(demoData, 'weather.csv')));
  expect(weather.labels).toEqual(days.dates.slice(-365));
  for (const [day, row] of weather.rows.entries()) {
    for (const [k, value] of row.entries()) expect(value).toBeCloseTo(days.x[days.x.length - 365 + day]![k]!, 6);
  }
  expect(weather.columns).toContain(SAMPLES.get('weather')!.compared);
});
