// The contract of /v1/step and /v1/sequence, case by case.
import { describe, expect, test } from 'vitest';
import { buildApp } from '../helpers/app.ts';

const app = await buildApp({
  N_MAX: '8',
  D_MAX: '8',
  H_MAX: '8',
  T_MAX: '8',
  WORK_FLOPS_MAX: '5000',
  ANSWER_NUMBERS_MAX: '400',
  BODY_BYTES_MAX: '20000',
});

const row = (size: number, value = 0.5) => Array<number>(size).fill(value);
const matrix = (rows: number, columns: number) => Array.from({ length: rows }, () => row(columns));
const weights = (D: number, H: number) => ({ W_x: matrix(D, H), W_h: matrix(H, H), b: row(H) });
const W = weights(2, 3);

describe('/v1/step', () => {
  test('starts from zeros when there is no h, and from 0 when there is no bias', async () => {
    const { b: _, ...unbiased } = W;
    const answer = await app.post('/v1/step', { weights: unbiased, x: [[1, 2]] });
    const explicit = await app.post('/v1/step', {
      weights: { ...unbiased, b: [[0, 0, 0]] },
      x: [[1, 2]],
      h: [[0, 0, 0]],
    });
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual(explicit.body);
    expect(Object.keys(answer.body)).toEqual(['h']);
    expect(answer.body.h).toEqual([row(3, Number(String(Math.fround(Math.tanh(1.5)))))].map((r) =>
      r.map(() => answer.body.h[0][0]),
    ));
    expect(answer.body.h[0][0]).toBeCloseTo(Math.tanh(1.5), 6);
  });

  test('broadcasts b of (H) and of (1, H) alike', async () => {
    const flat = await app.post('/v1/step', { weights: { ...W, b: [1, 2, 3] }, x: [[1, 2]] });
    const nested = await app.post('/v1/step', { weights: { ...W, b: [[1, 2, 3]] }, x: [[1, 2]] });
    expect(flat.body).toEqual(nested.body);
  });

  test('answers with the products when asked for a trace', async () => {
    const { body } = await app.post('/v1/step', {
      weights: { W_x: [[2]], W_h: [[3]], b: [0.5] },
      x: [[0.25]],
      h: [[-0.5]],
      trace: true,
    });
    expect(body.trace).toEqual({ h_W_h: [[-1.5]], x_W_x: [[0.5]], z: [[-0.5]] });
    expect(body.h[0][0]).toBeCloseTo(Math.tanh(-0.5), 6);
  });
});

describe('/v1/sequence', () => {
  const x = [[[1, 2]], [[3, 4]], [[5, 6]]];

  test('answers with hs and h, and with what is asked for', async () => {
    const both = await app.post('/v1/sequence', { weights: W, x });
    expect(both.body.hs).toHaveLength(3);
    expect(both.body.h).toEqual(both.body.hs[2]);
    const h = await app.post('/v1/sequence', { weights: W, x, outputs: ['h'] });
    expect(h.body).toEqual({ h: both.body.h });
    const hs = await app.post('/v1/sequence', { weights: W, x, outputs: ['hs'] });
    expect(hs.body).toEqual({ hs: both.body.hs });
  });

  test('stops a row after its length: hs is 0 beyond, h is its last valid state', async () => {
    const rows = x.map(([x_t]) => [x_t, x_t, x_t]);
    const h = [row(3, 0.1), row(3, 0.2), row(3, 0.3)];
    const full = await app.post('/v1/sequence', { weights: W, x: rows, h });
    const cut = await app.post('/v1/sequence', { weights: W, x: rows, h, lengths: [2, 0, 3] });
    expect(cut.status).toBe(200);
    const zeros = [0, 0, 0];
    expect(cut.body.hs.map((states: number[][]) => states[0])).toEqual([
      full.body.hs[0][0],
      full.body.hs[1][0],
      zeros,
    ]);
    expect(cut.body.hs.map((states: number[][]) => states[1])).toEqual([zeros, zeros, zeros]);
    expect(cut.body.hs.map((states: number[][]) => states[2])).toEqual(
      full.body.hs.map((states: number[][]) => states[2]),
    );
    expect(cut.body.h).toEqual([full.body.hs[1][0], h[1], full.body.hs[2][2]]);
  });

  test('traces every step, in the layout asked for, 0 beyond a length', async () => {
    const body = { weights: W, x: x.map(([x_t]) => [x_t, x_t]), lengths: [3, 1], trace: true };
    const { body: answer } = await app.post('/v1/sequence', body);
    expect(answer.trace.z.map((states: number[][]) => states.length)).toEqual([2, 2, 2]);
    expect(answer.trace.z[2][1]).toEqual([0, 0, 0]);
    for (const [t, states] of answer.hs.entries()) {
      expect(Math.tanh(answer.trace.z[t][0][0])).toBeCloseTo(states[0][0], 6);
    }
    const swapped = [0, 1].map((n) => body.x.map((rows) => rows[n]));
    const { body: ntd } = await app.post('/v1/sequence', { ...body, x: swapped, layout: 'NTD' });
    expect(ntd.trace.x_W_x[0][2]).toEqual(answer.trace.x_W_x[2][0]);
  });
});

// One row a case: route, body, status, code, what the detail must say, the pointer.
type Case = [string, unknown, number, string, RegExp, string];
const step = (change: object) => ({ weights: W, x: [[1, 2]], ...change });
const sequence = (change: object) => ({ weights: W, x: [[[1, 2]]], ...change });
const CASES: Record<string, Case> = {
  'no weights': ['/v1/step', { x: [[1]] }, 400, 'invalid_request', /one of .* and `session`, got none/, ''],
  'weights and a model': ['/v1/step', step({ model: 'm' }), 400, 'invalid_request', /got both/, ''],
  'an unknown model': [
    '/v1/step',
    { model: 'nobody', x: [[1]] },
    404,
    'model_not_found',
    /no model "nobody"/,
    '',
  ],
  'no x': ['/v1/step', { weights: W }, 400, 'invalid_request', /x is required/, '/x'],
  'an unknown field': ['/v1/step', step({ y: 1 }), 400, 'invalid_request', /y is not a known/, '/y'],
  'an unknown weight': [
    '/v1/step',
    step({ weights: { ...W, 'W/y': 1 } }),
    400,
    'invalid_request',
    /not a known/,
    '/weights/W~1y',
  ],
  'a string': ['/v1/step', step({ x: [['1', 2]] }), 400, 'invalid_request', /number, got "1"/, '/x/0/0'],
  'a null': ['/v1/step', step({ x: [[1, null]] }), 400, 'invalid_request', /number, got null/, '/x/0/1'],
  'a boolean': ['/v1/step', step({ x: [[true, 2]] }), 400, 'invalid_request', /got true/, '/x/0/0'],
  'an object': ['/v1/step', step({ x: [[{}, 2]] }), 400, 'invalid_request', /got an object/, '/x/0/0'],
  'one axis too few': ['/v1/step', step({ x: [1, 2] }), 400, 'invalid_request', /an array, got 1/, '/x/0'],
  'one axis too many': ['/v1/step', step({ x: [[[1, 2]]] }), 400, 'invalid_request', /number/, '/x/0/0'],
  'an empty x': ['/v1/step', step({ x: [] }), 400, 'invalid_request', /not be empty/, '/x'],
  'an empty row': ['/v1/step', step({ x: [[]] }), 400, 'invalid_request', /not be empty/, '/x/0'],
  'a body that is a list': ['/v1/step', [], 400, 'invalid_request', /an object, got an array/, ''],
  'a trace that is no flag': ['/v1/step', step({ trace: 1 }), 400, 'invalid_request', /boolean/, '/trace'],
  'a null in b': [
    '/v1/step',
    step({ weights: { ...W, b: [1, null, 3] } }),
    400,
    'invalid_request',
    /number, got null/,
    '/weights/b/1',
  ],
  'a b that is a number': [
    '/v1/step',
    step({ weights: { ...W, b: 1 } }),
    400,
    'invalid_request',
    /\(H\).*\(1, H\)/,
    '/weights/b',
  ],
  'a ragged x': ['/v1/step', step({ x: [[1, 2], [3]] }), 400, 'ragged_array', /has 1 .*has 2/, '/x/1'],
  'a ragged W_h': [
    '/v1/step',
    step({ weights: { ...W, W_h: [row(3), row(2), row(3)] } }),
    400,
    'ragged_array',
    /has 2 .*has 3/,
    '/weights/W_h/1',
  ],
  'a ragged step': [
    '/v1/sequence',
    sequence({ x: [[[1, 2]], [[1, 2], [3, 4]]] }),
    400,
    'ragged_array',
    /has 2 .*has 1/,
    '/x/1',
  ],
  'a layout unknown': ['/v1/sequence', sequence({ layout: 'DTN' }), 400, 'invalid_request', /NTD/, '/layout'],
  'an output unknown': [
    '/v1/sequence',
    sequence({ outputs: ['y'] }),
    400,
    'invalid_request',
    /one of/,
    '/outputs/0',
  ],
  'no output': ['/v1/sequence', sequence({ outputs: [] }), 400, 'invalid_request', /empty/, '/outputs'],
  'half a step': ['/v1/sequence', sequence({ lengths: [0.5] }), 400, 'invalid_request', /integer/, '/lengths/0'],
  'negative steps': ['/v1/sequence', sequence({ lengths: [-1] }), 400, 'invalid_request', />= 0/, '/lengths/0'],

  'x of another D': [
    '/v1/step',
    step({ x: [[1, 2, 3]] }),
    422,
    'shape_mismatch',
    /x has shape \(N, D\) = \(1, 3\), expected \(1, 2\), because W_x .*D = 2/,
    '/x',
  ],
  'x of another D, batch first': [
    '/v1/sequence',
    sequence({ x: [[[1], [2]]], layout: 'NTD' }),
    422,
    'shape_mismatch',
    /x has shape \(N, T, D\) = \(1, 2, 1\), expected \(1, 2, 2\)/,
    '/x',
  ],
  'W_h that is not square': [
    '/v1/step',
    step({ weights: { ...W, W_h: matrix(3, 2) } }),
    422,
    'shape_mismatch',
    /W_h has shape .*\(3, 2\), expected \(3, 3\)/,
    '/weights/W_h',
  ],
  'b of another H': [
    '/v1/step',
    step({ weights: { ...W, b: row(4) } }),
    422,
    'shape_mismatch',
    /b has shape \(H,\) = \(4,\), expected \(3,\)/,
    '/weights/b',
  ],
  'two rows of b': [
    '/v1/step',
    step({ weights: { ...W, b: matrix(2, 3) } }),
    422,
    'shape_mismatch',
    /expected \(1, 3\)/,
    '/weights/b',
  ],
  'h of one row for two': [
    '/v1/step',
    step({ x: [[1, 2], [3, 4]], h: [row(3)] }),
    422,
    'shape_mismatch',
    /h has shape \(N, H\) = \(1, 3\), expected \(2, 3\), because x makes N = 2/,
    '/h',
  ],
  'too few lengths': [
    '/v1/sequence',
    sequence({ lengths: [1, 1] }),
    422,
    'shape_mismatch',
    /2 elements, expected 1/,
    '/lengths',
  ],
  'a length beyond T': [
    '/v1/sequence',
    sequence({ lengths: [2] }),
    422,
    'out_of_range',
    /lengths\[0\] is 2, expected at most 1/,
    '/lengths/0',
  ],
  '1e39': ['/v1/step', step({ x: [[1, 1e39]] }), 422, 'out_of_range', /3\.4028235e38/, '/x/0/1'],
  'N beyond the limit': ['/v1/step', step({ x: matrix(9, 2) }), 422, 'limit_exceeded', /N is 9.*8 \(N_MAX/, '/x'],
  'D beyond the limit': [
    '/v1/step',
    { weights: weights(9, 1), x: [row(9)] },
    422,
    'limit_exceeded',
    /D is 9.*D_MAX/,
    '/x',
  ],
  'H beyond the limit': [
    '/v1/step',
    { weights: weights(1, 9), x: [[1]] },
    422,
    'limit_exceeded',
    /H is 9.*H_MAX/,
    '/weights/W_x',
  ],
  'T beyond the limit': [
    '/v1/sequence',
    sequence({ x: matrix(9, 2).map((x_t) => [x_t]) }),
    422,
    'limit_exceeded',
    /T is 9.*T_MAX/,
    '/x',
  ],
  'too much work': [
    '/v1/sequence',
    { weights: weights(8, 8), x: Array(8).fill(matrix(8, 8)), outputs: ['h'] },
    422,
    'limit_exceeded',
    /operations.*WORK_FLOPS_MAX/,
    '/x',
  ],
  'too large an answer': [
    '/v1/sequence',
    { weights: weights(1, 4), x: Array(8).fill(matrix(8, 1)), trace: true },
    422,
    'limit_exceeded',
    /ANSWER_NUMBERS_MAX/,
    '/x',
  ],
  'a z that overflows in a trace': [
    '/v1/step',
    { weights: { W_x: [[3e38]], W_h: [[0]] }, x: [[3e38]], trace: true },
    422,
    'not_finite',
    /trace\.\w+\[0\]\[0\] is Infinity/,
    '/trace/x_W_x',
  ],
  'a body beyond the limit': [
    '/v1/step',
    step({ x: Array(20).fill(row(1000)) }),
    413,
    'body_too_large',
    /too large/,
    '',
  ],
};

describe('refuses, and says where and why', () => {
  test.each(Object.entries(CASES))('%s', async (_, [url, body, status, code, detail, pointer]) => {
    const answer = await app.post(url, body);
    expect(answer.body).toMatchObject({ status, code, detail: expect.stringMatching(detail) });
    expect(answer.status).toBe(status);
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
    if (pointer !== '') expect(answer.body.errors[0].pointer).toBe(pointer);
    expect(answer.body.type).toBe(`/problems#${code}`);
    expect(answer.body.instance).toBe(answer.headers['x-request-id']);
  });

  test('sums of a wide model that overflow to NaN', async () => {
    const wide = await buildApp();
    const D = 96;
    const W_x = Array.from({ length: D }, () => [3e38]);
    const x = [Array.from({ length: D }, (_, k) => (k % 2 === 0 ? 3e38 : -3e38))];
    const { status, body } = await wide.post('/v1/step', { weights: { W_x, W_h: [[1]] }, x });
    expect(status).toBe(422);
    expect(body).toMatchObject({ code: 'not_finite', errors: [{ pointer: '/h' }] });
    expect(body.detail).toMatch(/h\[0\]\[0\] is NaN/);
  });

  test('a narrow model does not overflow on the way to a finite sum', async () => {
    const answer = await app.post('/v1/step', {
      weights: { W_x: [[3e38]], W_h: [[3e38]] },
      x: [[-3e38]],
      h: [[3e38]],
    });
    expect(answer.body).toEqual({ h: [[0]] });
  });

  test('what earlier requests left in memory is no part of an answer', async () => {
    const fresh = await buildApp();
    const bytes = 1024 * 1024;
    const ptr = fresh.memory.allocate(bytes);
    fresh.memory.f32(ptr, bytes / 4).fill(NaN);
    fresh.memory.free(ptr);
    // H = 3: five columns of padding behind each row, of trace and state alike.
    for (const D of [1, 100]) {
      const body = { weights: weights(D, 3), x: [[row(D)], [row(D)]], trace: true };
      const whole = await fresh.post('/v1/sequence', body);
      expect(whole.status, JSON.stringify(whole.body)).toBe(200);
      const cut = await fresh.post('/v1/sequence', { ...body, lengths: [1] });
      expect(cut.body.hs).toEqual([whole.body.hs[0], [[0, 0, 0]]]);
      expect(cut.body.trace.z).toEqual([whole.body.trace.z[0], [[0, 0, 0]]]);
    }
  });

  test('a z that overflows without a trace is a valid state: tanh of it is ±1', async () => {
    const answer = await app.post('/v1/step', {
      weights: { W_x: [[3e38]], W_h: [[0]] },
      x: [[-3e38]],
    });
    expect(answer.body).toEqual({ h: [[-1]] });
  });
});

describe('HTTP around it', () => {
  test('the request id given is kept if it is harmless, else replaced', async () => {
    const get = (id: string) =>
      app.http.inject({ url: '/health/live', headers: { 'x-request-id': id } });
    expect((await get('abc-1.2:3')).headers['x-request-id']).toBe('abc-1.2:3');
    for (const id of ['a b', 'a"b', 'x'.repeat(129), '{}']) {
      expect((await get(id)).headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    }
  });

  test.each([
    ['GET', '/v1/step', 'POST'],
    ['DELETE', '/v1/sequence', 'POST'],
    ['POST', '/health/live', 'GET, HEAD'],
    ['PUT', '/openapi.json', 'GET, HEAD'],
  ] as const)('%s %s is 405 and names %s', async (method, url, allow) => {
    const answer = await app.http.inject({ method, url, headers: { 'content-type': 'text/plain' } });
    expect(answer.statusCode).toBe(405);
    expect(answer.headers.allow).toBe(allow);
    expect(answer.json().code).toBe('method_not_allowed');
  });

  test('an unknown address is 404, a broken one 400', async () => {
    const unknown = await app.http.inject('/v2');
    expect(unknown.json().code).toBe('not_found');
    expect(unknown.headers['x-request-id']).toBe(unknown.json().instance);
    expect((await app.http.inject('/%zz')).json().code).toBe('invalid_request');
  });

  test.each([
    ['text/plain', undefined],
    ['application/x-www-form-urlencoded', undefined],
    ['application/json', 'gzip'],
    ['application/json-seq', undefined],
    ['application/jsonx', undefined],
  ])('a body of type %s, encoding %s, is 415', async (type, encoding) => {
    const answer = await app.http.inject({
      method: 'POST',
      url: '/v1/step',
      headers: { 'content-type': type, ...(encoding && { 'content-encoding': encoding }) },
      payload: JSON.stringify(step({})),
    });
    expect(answer.statusCode).toBe(415);
    expect(answer.json().code).toBe('unsupported_media_type');
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
  });

  test.each(['utf-8', '"UTF-8"', 'utf8', 'us-ascii'])('JSON with the charset %s is read', async (charset) => {
    const answer = await app.http.inject({
      method: 'POST',
      url: '/v1/step',
      headers: { 'content-type': `application/json; charset=${charset}` },
      payload: JSON.stringify(step({})),
    });
    expect(answer.statusCode).toBe(200);
  });

  test.each(['latin1', 'ISO-8859-1', 'utf-16', '"windows-1252"'])('JSON with the charset %s is refused', async (charset) => {
    const type = `application/json; charset=${charset}`;
    const answer = await app.http.inject({
      method: 'POST',
      url: '/v1/step',
      headers: { 'content-type': type },
      payload: Buffer.from(JSON.stringify(step({})), 'latin1'),
    });
    expect(answer.statusCode).toBe(415);
    expect(answer.json().code).toBe('unsupported_media_type');
    expect(answer.json().detail).toContain(`application/json in UTF-8`);
    expect(answer.json().detail).toContain(JSON.stringify(type));
  });

  test('a charset of JSON without a body is no reason to refuse', async () => {
    const headers = { 'content-type': 'application/json; charset=latin1' };
    expect((await app.http.inject({ method: 'GET', url: '/v1/models', headers })).statusCode).toBe(200);
  });

  test('every code has its place on the page that problems point to', async () => {
    const { ERRORS } = await import('../../src/error-kinds.ts');
    const page = await app.http.inject('/problems');
    for (const code of Object.keys(ERRORS)) expect(page.body).toContain(`id="${code}"`);
  });
});

test.each(['/health/live', '/nowhere', '/v1/models/nobody'])(
  '%s carries the headers that keep browsers from misusing an answer',
  async (url) => {
    const { headers } = await app.http.inject(url);
    expect(headers).toMatchObject({
      'content-security-policy': "default-src 'none';frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
      'x-frame-options': 'DENY',
      'x-request-id': expect.stringMatching(/^[\w-]{36}$/),
    });
  },
);
