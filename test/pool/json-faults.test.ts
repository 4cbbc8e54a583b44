// A worker that dies or hangs at a text costs that request one error, and no memory.
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { buildApp } from '../helpers/app.ts';

const workerEntry = new URL('../fixtures/workers/faulty-json.ts', import.meta.url);
const app = await buildApp(
  { WORKERS: '1', WORKER_HANG_MS: '300', WEIGHTS_CACHE_BYTES_MAX: '0' },
  { workerEntry, inlineFlopsMax: 0 },
);
const bytesIdle = app.memory.bytesUsed;

/** Long enough, in text and in numbers, for a worker. */
const body = (x: number) =>
  JSON.stringify({
    weights: { W_x: [[1]], W_h: [[0.5]] },
    x: Array.from({ length: 2_000 }, (_, n) => [n === 0 ? x : 0.123456789 + n]),
  });

async function expectGood(): Promise<void> {
  while ((await app.http.inject('/health/ready')).statusCode !== 200) await sleep(5);
  const response = await app.post('/v1/step', body(0.5));
  expect(response.status).toBe(200);
  expect(response.body.h).toHaveLength(2_000);
  for (let i = 0; i < 100 && app.memory.bytesUsed !== bytesIdle; i++) await sleep(10);
  expect(app.memory.bytesUsed).toBe(bytesIdle);
}

test.each([
  ['exits while it reads', `\t${body(0.5)}`, 500, 'worker_failed'],
  ['hangs while it reads', `\n${body(0.5)}`, 500, 'worker_failed'],
  ['exits while it prints', body(20), 500, 'worker_failed'],
])('a worker that %s', async (_, text, status, code) => {
  await expectGood();
  const response = await app.post('/v1/step', text);
  expect(response.status).toBe(status);
  expect(response.body.code).toBe(code);
  await expectGood();
});

test('control: the same JSON is read and printed by a worker that does not fail', async () => {
  const sound = await buildApp({ WORKERS: '1' }, { inlineFlopsMax: 0 });
  for (const text of [`\t${body(0.5)}`, `\n${body(0.5)}`, body(20)]) {
    expect((await sound.post('/v1/step', text)).status).toBe(200);
  }
});
