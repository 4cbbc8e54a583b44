// Server-Timing of every answer that is computed, and of no other. That no computed answer of any test is without it,
// helpers/response-validation.ts checks; it does not see streams.
import { describe, expect, test } from 'vitest';
import { RequestRecord } from '../../src/request-record.ts';
import { serverTiming } from '../../src/http/responses/server-timing.ts';
import { buildApp } from '../helpers/app.ts';
import { fc } from '../helpers/seed.ts';

const WEIGHTS = { W_x: [[0.5]], W_h: [[0.8]] };
const app = await buildApp();

const send = (url: string, body: object, headers = {}) =>
  app.http.inject({
    method: 'POST',
    url,
    headers: { 'content-type': 'application/json', ...headers },
    payload: JSON.stringify(body),
  });

const partsOf = (header: unknown) => String(header).split(', ').map((part) => part.split(';')[0]);
const STATELESS = ['read', 'queue', 'compute', 'print'];

describe('computed answers', () => {
  const x = [[1]];

  test.each([
    ['a step', '/v1/step', { weights: WEIGHTS, x }, {}],
    ['a sequence', '/v1/sequence', { weights: WEIGHTS, x: [x] }, {}],
    ['a file', '/v1/step', { weights: WEIGHTS, x }, { accept: 'application/octet-stream' }],
    ['a stream of lines', '/v1/sequence', { weights: WEIGHTS, x: [x] }, { accept: 'application/x-ndjson' }],
    ['a stream of events', '/v1/sequence', { weights: WEIGHTS, x: [x] }, { accept: 'text/event-stream' }],
    ['a built-in model', '/v1/step', { model: 'sunspots', x }, {}],
    ['a trace', '/v1/step', { weights: WEIGHTS, x, trace: true }, {}],
    ['a compressed answer', '/v1/sequence', { weights: WEIGHTS, x: Array.from({ length: 8_000 }, () => x) }, { 'accept-encoding': 'gzip' }],
  ])('%s', async (_, url, body, headers) => {
    const { statusCode, headers: received } = await send(url, body, headers);
    expect(statusCode).toBe(200);
    expect(partsOf(received['server-timing'])).toEqual(STATELESS);
    expect(received['server-timing']).toMatch(/compute;dur=\d+\.\d{3}\b/);
    expect(received['server-timing']).not.toContain('compute;dur=0.000');
  });

  const COMMITTED = ['read', 'queue', 'compute', 'commit', 'print'];
  const file = { accept: 'application/octet-stream' };

  test.each([
    ['a step', '/v1/step', x, {}],
    ['a sequence', '/v1/sequence', [x], {}],
    ['a step as a file', '/v1/step', x, file],
    ['a sequence as a file', '/v1/sequence', [x], file],
  ])('%s of a session has the commit; repeated with its key, it is computed and not committed', async (_, url, input, headers) => {
    const { id } = (await send('/v1/sessions', { weights: WEIGHTS })).json();
    const call = () => send(url, { session: id, x: input }, { ...headers, 'idempotency-key': 'a-key' });
    expect(partsOf((await call()).headers['server-timing'])).toEqual(COMMITTED);
    const replayed = await call();
    expect(replayed.headers['idempotency-replayed']).toBe('true');
    expect(partsOf(replayed.headers['server-timing'])).toEqual(STATELESS);
  });
});

test('answers that compute nothing have none', async () => {
  const { headers, json } = await send('/v1/sessions', { weights: WEIGHTS });
  expect(headers).not.toHaveProperty('server-timing');
  for (const url of ['/v1/models', '/health/live', `/v1/sessions/${json().id}`]) {
    expect((await app.http.inject({ method: 'GET', url })).headers).not.toHaveProperty('server-timing');
  }
  expect((await send('/v1/step', { weights: WEIGHTS, x: [[1, 2]] })).headers).not.toHaveProperty('server-timing');
});

test('numbers are those of toFixed(3)', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 1e9 }), (us) => {
      const record = new RequestRecord();
      record.computeMs = us / 1_000;
      expect(serverTiming(record)).toContain(`compute;dur=${(us / 1_000).toFixed(3)}, `);
    }),
  );
});

test('the clock of a record stands still while the request waits for a worker', async () => {
  const record = new RequestRecord();
  await record.measure('computeMs', async () => {
    record.queueMs += 1_000;
  });
  record.measure('printMs', () => 1);
  expect(() => record.measure('readMs', () => JSON.parse('{'))).toThrow(SyntaxError);
  expect(record.computeMs).toBeLessThan(0);
  expect(record.readMs).toBeGreaterThan(0);
  expect(record.printMs).toBeGreaterThan(0);
});
