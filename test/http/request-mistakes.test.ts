// Mistakes of a newcomer, and the problems that explain them: types, encodings, absent bodies, ids, places.
import { describe, expect, test } from 'vitest';
import { buildApp } from '../helpers/app.ts';

const app = await buildApp();
const step = { model: 'sunspots', x: [[0.5]] };
const JSON_TYPE = { 'content-type': 'application/json' };

function send(
  method: 'GET' | 'POST' | 'PUT' | 'DELETE',
  url: string,
  headers: Record<string, string> = {},
  payload?: object | string | Buffer,
) {
  return app.http.inject({ method, url, headers, ...(payload !== undefined && { payload }) });
}

async function newSession(): Promise<string> {
  return (await app.post('/v1/sessions', { model: 'sunspots', keep: 2 })).body.id;
}

describe('Accept', () => {
  test.each([
    'application/json; charset=utf-8',
    'application/json;charset=UTF-8;q=0.5',
    'application/json; profile="a;b, text/html;q=0"',
    'Application/JSON',
    'application/*',
    'text/html, application/json;q=0.1',
    'application/problem+json, application/json',
    'text/html, */*;q=0.01',
  ])('%s is answered with JSON', async (accept) => {
    const response = await send('POST', '/v1/step', { ...JSON_TYPE, accept }, step);
    expect(response.statusCode).toBe(200);
    expect(response.headers['content-type']).toMatch(/^application\/json/);
  });

  test('quality values decide: of two types that with the greater one is sent', async () => {
    const accept = 'application/json;charset=utf-8;q=0.2, application/octet-stream;q=0.3';
    const response = await send('POST', '/v1/step', { ...JSON_TYPE, accept }, step);
    expect(response.headers['content-type']).toBe('application/octet-stream');
  });

  test.each(['text/html', 'application/json;q=0', 'application/problem+json', 'x;y="'])(
    '%s is 406, and the detail repeats it',
    async (accept) => {
      const response = await send('POST', '/v1/step', { ...JSON_TYPE, accept }, step);
      expect(response.json()).toMatchObject({ status: 406, code: 'not_acceptable' });
      expect(response.json().detail).toContain(`got ${JSON.stringify(accept)}`);
    },
  );

  test('a header crafted to be slow to parse is parsed as fast as any', async () => {
    const parts = ['; ', ';"', '"\\', ',', ';q=', ' '];
    const start = performance.now();
    for (const part of parts) {
      const accept = part.repeat(12_000 / part.length);
      await send('POST', '/v1/step', { ...JSON_TYPE, accept }, step);
    }
    expect(performance.now() - start).toBeLessThan(20_000);
  });
});

describe('the encoding of JSON', () => {
  const text = JSON.stringify(step);
  const long = JSON.stringify({ ...step, x: Array.from({ length: 4_000 }, () => [0.5]) });

  test.each([['short', text], ['long', long]])('a UTF-8 byte order mark is accepted: a %s body', async (_, body) => {
    const marked = await send('POST', '/v1/step', JSON_TYPE, Buffer.from(`\uFEFF${body}`));
    expect(marked.statusCode).toBe(200);
    expect(marked.body).toBe((await send('POST', '/v1/step', JSON_TYPE, body)).body);
  });

  test('one byte order mark is accepted, at the beginning, and positions in errors count it', async () => {
    const twice = await send('POST', '/v1/step', JSON_TYPE, Buffer.from(`\uFEFF\uFEFF${text}`));
    expect(twice.json().code).toBe('malformed_json');
    expect(twice.json().detail).toMatch(/^Not JSON at byte 3:/);
  });

  const utf16 = Buffer.from(text, 'utf16le');
  test.each([
    ['UTF-16, little-endian', utf16],
    ['UTF-16, big-endian', Buffer.from(utf16).swap16()],
    ['UTF-16 with a mark', Buffer.from(`\uFEFF${text}`, 'utf16le')],
    ['UTF-16 with a mark, big-endian', Buffer.from(`\uFEFF${text}`, 'utf16le').swap16()],
    ['UTF-16 of a long body', Buffer.from(long, 'utf16le')],
  ])('%s is refused, and the problem names the encoding', async (_, body) => {
    const response = await send('POST', '/v1/step', JSON_TYPE, body);
    expect(response.json()).toMatchObject({ status: 400, code: 'malformed_json' });
    expect(response.json().detail).toMatch(/UTF-16 or UTF-32, expected UTF-8/);
  });
});

describe('a body', () => {
  const form = { 'content-type': 'application/x-www-form-urlencoded' };

  test.each([form, { 'content-type': 'text/plain' }, JSON_TYPE, {}])(
    'an empty body with %j is accepted where no body is expected',
    async (headers) => {
      const id = await newSession();
      expect((await send('POST', `/v1/sessions/${id}/fork`, headers, '')).statusCode).toBe(201);
      expect((await send('DELETE', `/v1/sessions/${id}`, headers, '')).statusCode).toBe(204);
    },
  );

  test.each([form, {}])('an empty body with %j is refused where a body is required', async (headers) => {
    const id = await newSession();
    const rewind = await send('POST', `/v1/sessions/${id}/rewind`, headers, '');
    expect(rewind.json()).toMatchObject({ status: 400, code: 'invalid_request', applied: 'no' });
    expect(rewind.json().detail).toBe(
      'POST /v1/sessions/{id}/rewind needs a body, of Content-Type application/json; the request has none.',
    );
    for (const url of ['/v1/step', '/v1/sequence', '/v1/models', '/v1/sessions']) {
      expect((await send('POST', url, headers, '')).json()).toMatchObject({
        status: 400,
        detail: expect.stringMatching(/ needs a body, of Content-Type application\/json.*; the request has none\./),
      });
    }
  });

  test('a body with content where none is expected is refused, not ignored', async () => {
    const id = await newSession();
    const fork = (body: object) => send('POST', `/v1/sessions/${id}/fork`, JSON_TYPE, body);
    expect((await fork({ keep: 5 })).json()).toMatchObject({
      status: 400,
      detail: 'POST /v1/sessions/{id}/fork takes no body; expected none, or {}.',
    });
    expect((await fork({})).statusCode).toBe(201);
    expect((await send('POST', `/v1/sessions/${id}/fork`, form, 'keep=5')).json()).toMatchObject({
      status: 415,
      detail: expect.stringContaining('takes no body, got one of type'),
    });
  });

  test('a body of another type is 415 with the types of this address and the one received', async () => {
    const files = 'application/vnd.carryover.safetensors or application/octet-stream';
    for (const [url, types] of [
      ['/v1/step', `application/json or ${files}`],
      ['/v1/models', `application/json or ${files} or application/onnx`],
      ['/v1/sessions', 'application/json'],
    ]) {
      for (const type of ['text/plain', 'multipart/form-data; boundary=x', 'json']) {
        const response = await send('POST', url!, { 'content-type': type }, '{}');
        expect(response.json()).toMatchObject({ status: 415, code: 'unsupported_media_type' });
        expect(response.json().detail).toBe(
          `POST ${url} takes a body of Content-Type ${types}, got ${JSON.stringify(type)}.`,
        );
      }
      const untyped = await send('POST', url!, {}, Buffer.from('{}'));
      expect(untyped.json().detail).toMatch(/, got none\.$/);
    }
  });
});

describe('an id or a name that none can have', () => {
  const long = 'a'.repeat(3_000);

  test.each([long, 'a'.repeat(65), 'a'.repeat(101), 'a%20b', 'ä'])(
    'the session is not found: %s',
    async (id) => {
      for (const [method, url] of [
        ['GET', `/v1/sessions/${id}`],
        ['DELETE', `/v1/sessions/${id}`],
        ['POST', `/v1/sessions/${id}/fork`],
      ] as const) {
        const response = await send(method, encodeURI(decodeURI(url)));
        expect(response.json()).toMatchObject({ status: 404, code: 'session_not_found' });
      }
      const inBody = await app.post('/v1/step', { session: decodeURI(id), x: [[1]] });
      expect(inBody.body).toMatchObject({ status: 404, code: 'session_not_found' });
    },
  );

  test.each([long, 'a'.repeat(129), 'a%2Fb'])('the model is not found: %s', async (name) => {
    const response = await send('GET', `/v1/models/${name}`);
    expect(response.json()).toMatchObject({ status: 404, code: 'model_not_found' });
    const inBody = await app.post('/v1/step', { model: decodeURIComponent(name), x: [[1]] });
    expect(inBody.body).toMatchObject({ status: 404, code: 'model_not_found' });
  });
});

describe('an address', () => {
  test.each([
    ['GET', '/step', 404, 'Nothing is served at GET /step; GET /docs lists the addresses.'],
    ['GET', '/v1/sessions/x/fork', 405, /^GET \/v1\/sessions\/\{id\}\/fork is not served; expected POST/],
    ['GET', '/v1/models/100%', 400, /a % begins the code of a byte in it, as in %20, and alone is %25/],
  ] as const)('%s %s is %i', async (method, url, status, detail) => {
    const response = await send(method, url);
    expect(response.json()).toMatchObject({ status, detail: expect.stringMatching(detail) });
  });
});

describe('a parameter that is given in two places', () => {
  test('both places must agree: the problem names both sessions', async () => {
    const headers = { ...JSON_TYPE, 'x-session-id': 'one' };
    const response = await send('POST', '/v1/step', headers, { session: 'two', x: [[1]] });
    expect(response.json()).toMatchObject({
      status: 400,
      detail:
        'The body names session "two", the header x-session-id "one"; expected one of them, or the ' +
        'same in both.',
    });
  });
});

describe('an error has the place, what was expected and what was received', () => {
  test.each([
    ['/v1/sessions?limit=5000', /^The query parameter limit .*, got "5000"\. Described as: 1 … 1000/],
    ['/v1/sessions?page=2', /^"page" is not a query parameter of GET \/v1\/sessions, which takes .*cursor/],
  ])('the error names the parameter: GET %s', async (url, detail) => {
    expect((await send('GET', url)).json().detail).toMatch(detail);
  });

  test.each([
    ['/v1/step', { ...step, y: 1 }, /^\/y is not a known field; expected weights, model, session, x/],
    ['/v1/sessions', { model: 'sunspots', N: 0 }, /^\/N must be >= 1, got 0\. Described as: Mini-batch/],
    ['/v1/models', { weights: { W_x: [[1]], W_h: [[1]] }, name: 'a b' }, /^\/name .*, got "a b"\. Described as: /],
  ])('the error names the field: POST %s %j', async (url, body, detail) => {
    expect((await app.post(url, body)).body.detail).toMatch(detail);
  });

  test('a place in a trace is given by the axes that the answer would have had', async () => {
    // Row 1 gets an infinite z of which tanh is 1: the state is finite, and z is not.
    const D = 128;
    const weights = { W_x: Array.from({ length: D }, () => [3e38]), W_h: [[1]] };
    const rows = (value: number) => Array.from({ length: D }, () => value);
    const [small, large] = [rows(0), rows(1)];
    const ask = async (url: string, x: unknown, rest = {}) =>
      (await app.post(url, { weights, x, trace: true, ...rest })).body.detail;
    expect(await ask('/v1/step', [small, large])).toMatch(/^trace\.x_W_x\[1\]\[0\] is Infinity/);
    const x = [[small, small], [small, small], [small, large]];
    expect(await ask('/v1/sequence', x)).toMatch(/^trace\.x_W_x\[2\]\[1\]\[0\] is Infinity/);
    const byRow = [0, 1].map((n) => x.map((ofStep) => ofStep[n]));
    const detail = await ask('/v1/sequence', byRow, { layout: 'NTD' });
    expect(detail).toMatch(/^trace\.x_W_x\[1\]\[2\]\[0\] is Infinity/);
  });
});
