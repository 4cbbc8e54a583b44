// Headers and query parameters that an address does not support are refused, and so are numbers that
// are not integers between 0 and 2^53 - 1.
import { beforeAll, describe, expect, test } from 'vitest';
import { type TestApp, buildApp } from '../helpers/app.ts';

const WEIGHTS = { W_x: [[1]], W_h: [[0]] };
const STEP = { weights: WEIGHTS, x: [[1]] };

let app: TestApp;
beforeAll(async () => {
  app = await buildApp();
});

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

const send = (method: Method, url: string, body?: unknown, headers: object = {}) =>
  app.http.inject({
    method,
    url,
    headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { payload: typeof body === 'string' ? body : JSON.stringify(body) }),
  });

async function newSession() {
  const { statusCode, headers, ...response } = await send('POST', '/v1/sessions', { weights: WEIGHTS });
  expect(statusCode).toBe(201);
  return { id: response.json().id as string, etag: headers.etag as string };
}

describe('a header that asks for what the address does not support', () => {
  const SEQUENCE = { weights: WEIGHTS, x: [[[1]]] };
  test.each<[Method, string, unknown, object]>([
    ['POST', '/v1/step', STEP, { 'if-match': '*' }],
    ['POST', '/v1/step', STEP, { 'idempotency-key': 'k' }],
    ['POST', '/v1/sequence', SEQUENCE, { 'if-match': '"a.0"' }],
    ['POST', '/v1/sequence', SEQUENCE, { 'idempotency-key': 'k', accept: 'text/event-stream' }],
    ['POST', '/v1/models', { weights: WEIGHTS }, { 'if-match': '*' }],
    ['DELETE', '/v1/models/none', undefined, { 'idempotency-key': 'k' }],
    ['GET', '/v1/sessions', undefined, { 'idempotency-key': 'k' }],
  ])('the request is refused: %s %s %j with %j', async (method, url, body, headers) => {
    const response = await send(method, url, body, headers);
    const { code, detail } = response.json();
    expect([response.statusCode, code]).toEqual([400, 'invalid_request']);
    expect(detail).toContain('has no meaning');
  });
});

describe('a condition other than If-Match, on a call that changes something', () => {
  const INFERENCE = {
    inputs: [{ name: 'x', shape: [1, 1], datatype: 'FP32', data: [1] }],
    parameters: { sequence_id: 1, sequence_start: true },
  };
  const CONDITIONS = ['if-none-match', 'if-unmodified-since', 'if-modified-since', 'if-range'];

  test.each<[Method, string, unknown]>([
    ['POST', '/v1/step', { session: '{id}', x: [[1]] }],
    ['POST', '/v1/sequence', { session: '{id}', x: [[[1]]] }],
    ['PUT', '/v1/sessions/{id}/state', { h: [[0.5]] }],
    ['POST', '/v1/sessions/{id}/rewind', { t: 0 }],
    ['POST', '/v1/sessions/{id}/fork', undefined],
    ['DELETE', '/v1/sessions/{id}', undefined],
  ])('%s %s is refused before anything is looked up, and names If-Match', async (method, url, body) => {
    const { id, etag } = await newSession();
    const key = { 'idempotency-key': 'k' };
    expect((await send('POST', '/v1/step', { session: id, x: [[1]] }, key)).statusCode).toBe(200);
    const call = (session: string, headers: object) =>
      send(method, url.replace('{id}', session), body && JSON.stringify(body).replace('{id}', session), headers);
    for (const header of CONDITIONS) {
      // A repeat of the step before is one of the cases.
      const response = await call(id, { ...key, [header]: etag });
      expect(response.json()).toMatchObject({ status: 400, code: 'invalid_request', applied: 'no' });
      expect(response.json().detail).toMatch(`The header ${header} has no meaning`);
      expect(response.json().detail).toContain('Send If-Match');
    }
    expect((await call('unknown', { 'if-none-match': '*' })).statusCode).toBe(400);
    expect((await send('GET', `/v1/sessions/${id}`)).json()).toMatchObject({ t: 1, version: 1 });
  });

  test.each<[Method, string, unknown]>([
    ['POST', '/v1/sessions', { weights: WEIGHTS }],
    ['POST', '/v1/batch', { items: [] }],
    ['POST', '/v1/models', { weights: WEIGHTS }],
    ['PUT', '/v1/models/a', { model: 'sunspots' }],
    ['DELETE', '/v1/models/none', undefined],
  ])('%s %s, which has no If-Match, is refused', async (method, url, body) => {
    const response = await send(method, url, body, { 'if-none-match': '*' });
    expect([response.statusCode, response.json().detail]).toEqual([400, expect.stringContaining('if-none-match has no meaning')]);
  });

  test.each(['/v2/models/sunspots/infer', '/v2/models/sunspots/versions/1/infer'])('a sequence of %s is refused', async (url) => {
    const response = await send('POST', url, INFERENCE, { 'if-none-match': '*' });
    expect([response.statusCode, response.json().error]).toEqual([400, expect.stringContaining('Send If-Match')]);
  });

  test('control: what only reads or computes takes them', async () => {
    const { id } = await newSession();
    const headers = Object.fromEntries(CONDITIONS.map((name) => [name, 'Thu, 01 Jan 1970 00:00:00 GMT']));
    for (const url of [`/v1/sessions/${id}`, '/v1/sessions', '/v1/models', '/health/ready', '/']) {
      expect((await send('GET', url, undefined, headers)).statusCode, url).toBe(200);
    }
    expect((await send('POST', '/v1/step', STEP, headers)).statusCode).toBe(200);
  });
});

describe('a query parameter that the address does not have', () => {
  test.each<[Method, string, unknown, string]>([
    ['POST', '/v1/step?trace=true', STEP, 'trace'],
    ['POST', '/v1/sequence?outputs=h', { weights: WEIGHTS, x: [[[1]]] }, 'outputs'],
    ['POST', '/v1/models?nam=a', { weights: WEIGHTS }, 'nam'],
    ['PUT', '/v1/models/a?force=1', { model: 'b' }, 'force'],
    ['GET', '/v1/models?limits=1', undefined, 'limits'],
    ['GET', '/v1/sessions?limit=1&after=b', undefined, 'after'],
    ['POST', '/v1/sessions?keep=2', { weights: WEIGHTS }, 'keep'],
    ['DELETE', '/v1/sessions/abc?at=1', undefined, 'at'],
    ['GET', '/health/ready?verbose', undefined, 'verbose'],
  ])('the request is refused: %s %s', async (method, url, body, name) => {
    const response = await send(method, url, body);
    expect([response.statusCode, response.json().code]).toEqual([400, 'invalid_request']);
    expect(response.json().detail).toContain(`"${name}" is not a query parameter`);
  });

  test('control: known parameters are accepted, and the pages of the docs have their own', async () => {
    expect((await send('GET', '/v1/sessions?limit=1')).statusCode).toBe(200);
    expect((await send('POST', '/v1/models?name=a', { weights: WEIGHTS })).statusCode).not.toBe(500);
    expect((await send('GET', '/docs/static/swagger-ui.css?v=1')).statusCode).toBe(200);
    expect((await send('POST', '/v1/step', STEP)).statusCode).toBe(200);
  });
});

describe('If-Match', () => {
  const step = (id: string, ifMatch: string) =>
    send('POST', '/v1/step', { session: id, x: [[1]] }, { 'if-match': ifMatch });

  test('one of several ETags must be that of the session', async () => {
    const { id, etag } = await newSession();
    expect((await step(id, '"a", "b"')).statusCode).toBe(412);
    expect((await step(id, `"a" ,, W/"b",${etag}`)).statusCode).toBe(200);
    expect((await step(id, ' * ')).statusCode).toBe(200);
  });

  test('a weak ETag never matches, and the answer explains which intermediaries weaken ETags', async () => {
    const { id, etag } = await newSession();
    const response = await step(id, `W/${etag}`);
    expect([response.statusCode, response.json().applied]).toEqual([412, 'no']);
    expect(response.json().detail).toContain('gateway that compresses');
  });

  test.each(['', 'a', '"a', '"a" "b"', '"a";"b"', 'w/"a"', '"a", *', '"a\tb"', ',', '"a"b'])(
    'a malformed If-Match is refused: %j',
    async (ifMatch) => {
      const { id } = await newSession();
      const response = await step(id, ifMatch);
      expect([response.statusCode, response.json().applied]).toEqual([400, 'no']);
      expect((await send('GET', `/v1/sessions/${id}`)).json().version).toBe(0);
    },
  );
});

describe('integers', () => {
  const MAX = 2 ** 53 - 1;
  const putT = async (id: string, t: string) =>
    (await send('PUT', `/v1/sessions/${id}/state`, `{"h":[[0]],"t":${t}}`)).statusCode;

  test.each(['9007199254740992', '1e300', '1e999', '-1', '0.5'])('t = %s is refused', async (t) => {
    const { id } = await newSession();
    expect(await putT(id, t)).toBe(400);
    expect((await send('POST', `/v1/sessions/${id}/rewind`, `{"t":${t}}`)).statusCode).toBe(400);
    const { t: now, version } = (await send('GET', `/v1/sessions/${id}`)).json();
    expect([now, version]).toEqual([0, 0]);
  });

  test('every step is counted up to the largest t, and none beyond it', async () => {
    const { id } = await newSession();
    expect(await putT(id, String(MAX - 3))).toBe(200);
    const steps = (T: number) =>
      send('POST', '/v1/sequence', { session: id, x: Array.from({ length: T }, () => [[1]]) });
    expect((await steps(1)).json().session.t).toBe(MAX - 2);
    const beyond = await steps(3);
    expect([beyond.statusCode, beyond.json()]).toMatchObject([
      422,
      { code: 'out_of_range', applied: 'no' },
    ]);
    expect((await steps(2)).json().session.t).toBe(MAX);
    const last = await send('POST', '/v1/step', { session: id, x: [[1]] });
    expect([last.statusCode, last.json().code]).toEqual([422, 'out_of_range']);
    expect((await send('GET', `/v1/sessions/${id}`)).json().t).toBe(MAX);
  });

  test.each([
    ['/v1/sessions', '{"model":"sunspots","N":1e999}'],
    ['/v1/sessions', '{"model":"sunspots","keep":1e999}'],
    ['/v1/sessions', '{"model":"sunspots","ttl_s":1e999}'],
    ['/v1/sequence', '{"model":"sunspots","x":[[[1]]],"lengths":[1e999]}'],
  ])('%s %s is refused', async (url, body) => {
    const response = await send('POST', url, body);
    expect(response.statusCode).toBe(400);
    expect(response.json().detail).toContain('got a number beyond float64');
  });
});
