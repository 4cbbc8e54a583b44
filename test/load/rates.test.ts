// `npm run load -- --open` against a service: what it sends, and what it makes of the answers.
import { describe, expect, test } from 'vitest';
import { type CaseOptions, makeCase } from '../../load/rates/cases.ts';
import { measureRates, rateMeasurementsOf } from '../../load/rates/measure.ts';
import { HELP, readLoadOptions } from '../../load/rates/options.ts';
import { plotRates } from '../../load/rates/plot.ts';
import { describeRates } from '../../load/rates/report.ts';
import { buildApp } from '../helpers/app.ts';
import { sample } from '../helpers/long.ts';

const app = await buildApp();
const url = await app.http.listen({ host: '127.0.0.1', port: 0 });

const CASES: readonly CaseOptions[] = [
  { mode: 'steps', sessions: 0, items: 1 },
  { mode: 'sessions', sessions: 6, items: 1 },
  { mode: 'batch', sessions: 12, items: 4 },
];

test.each(sample(CASES, 1))('$mode are sent at each rate, and drawn', async (options) => {
  const made = await makeCase(url, options);
  const measurements: number[] = [];
  const given = { rates: [20, 50], seconds: 0.2, rounds: 2, connections: 3, capacitySeconds: 0.1, onProgress: (done: number) => measurements.push(done) };
  const results = await measureRates([{ name: 'one service', cases: [made] }], given);
  expect(measurements).toEqual([1, 2, 3, 4]);
  expect(rateMeasurementsOf(given, 1)).toBe(4);
  const [{ points }] = results as [(typeof results)[0]];
  expect(points.map((rounds) => rounds.map(({ perS, count }) => [perS, count]))).toEqual([
    [[20, 4], [20, 4]],
    [[50, 10], [50, 10]],
  ]);
  for (const { p50Ms, p99Ms } of points.flat()) expect(p99Ms).toBeGreaterThanOrEqual(p50Ms);
  const lines = describeRates(results, made.steps).split('\n');
  expect(lines).toHaveLength(3);
  expect(lines[0]).toMatch(made.steps === 1 ? /requests\/s +answered\/s +p50/ : /requests\/s +steps\/s/);
  const chart = plotRates(results, { title: 'T', notes: ['a', 'b', 'c'] });
  expect(chart).toContain('</svg>');
  expect(chart).not.toMatch(/NaN|Infinity|href|url\(/);
});

test('control: a step that no answer counts is found', async () => {
  const made = await makeCase(url, { mode: 'sessions', sessions: 2, items: 1 });
  await made.check();
  const { session } = JSON.parse(made.target.bodies![0]!.toString()) as { session: string };
  expect((await app.post('/v1/step', { session, x: [Array.from({ length: 128 }, () => 0.5)] })).status).toBe(200);
  const others = [made.check(), makeCase(url, { mode: 'sessions', sessions: 2, items: 1 }).then(({ check }) => check())];
  const outcomes = await Promise.allSettled(others);
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
});

describe('the options', () => {
  test('the defaults are those that the help states', () => {
    expect(readLoadOptions(['--open'])).toMatchObject({
      isOpen: true, mode: 'steps', sessions: 2048, items: 64, rounds: 3, seconds: 3, connections: 64, servers: [1], processes: [], out: 'data/load',
    });
    expect(readLoadOptions([])).toMatchObject({ isOpen: false, rounds: 4 });
    expect(readLoadOptions(['--open', '--processes', '1,2'])).toMatchObject({ servers: [], processes: [1, 2] });
    expect(readLoadOptions(['--help'])).toBeUndefined();
    for (const option of ['mode', 'sessions', 'items', 'url', 'seconds', 'rounds', 'json', 'rates', 'connections', 'servers', 'processes', 'out']) {
      expect(HELP).toContain(`--${option} `);
    }
  });

  test.each([
    [['--rates', '100'], '--rates is an option of --open.'],
    [['--open', '--rates', '100,fast'], '--rates must be a whole number, at least 1.'],
    [['--mode', 'fast'], '--mode must be one of steps, sessions, batch.'],
    [['--mode', 'batch', '--items', '257'], '--items must be at most 256, as a batch takes no more.'],
    [['--mode', 'batch', '--sessions', '10'], '--sessions must be a whole number, at least 64.'],
  ])('%j', (args, message) => {
    expect(() => readLoadOptions(args)).toThrow(message);
  });
});
