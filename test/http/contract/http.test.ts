// HTTP rules that hold for every route: request ids, methods, addresses, content types and security headers.
import { describe, expect, test } from 'vitest';
import { ERRORS } from '../../../src/error-kinds.ts';
import { W, buildSmallApp } from './app.ts';

const app = await buildSmallApp();
const STEP = JSON.stringify({ weights: W, x: [[1, 2]] });

describe('HTTP', () => {
  test('the request id of the client is kept if it is harmless, otherwise replaced', async () => {
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
    ['TRACE', '/v1/step', 'POST'],
    ['PROPFIND', '/v1/step?a=1', 'POST'],
    ['QUERY', '/v1/sessions/abc/state', 'PUT'],
    ['PROPFIND', '/docs/static/logo.svg', 'GET, HEAD'],
    ['PURGE', '/v2/models/sunspots/versions/1/infer', 'POST'],
  ] as const)('%s %s is 405 and names %s', async (method, url, allow) => {
    // Types of the test know no methods of WebDAV.
    const response = await app.http.inject({ method: method as 'GET', url, headers: { 'content-type': 'text/plain' } });
    expect(response.statusCode).toBe(405);
    expect(response.headers.allow).toBe(allow);
    const { code, detail, error } = response.json();
    expect(error ?? detail).toContain(`is not served; expected ${allow}`);
    if (!url.startsWith('/v2')) expect(code).toBe('method_not_allowed');
  });

  test.each(['/v3', '/v1/sessions//state', '/v1/step/', '/v1/models/a/b/c'])('PROPFIND %s is 404', async (url) => {
    expect((await app.http.inject({ method: 'PROPFIND' as 'GET', url })).statusCode).toBe(404);
  });

  test('an unknown address is answered 404, a malformed one 400', async () => {
    const unknown = await app.http.inject('/v3');
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
  ])('a body of type %s, encoding %s, is answered 415', async (type, encoding) => {
    const response = await app.http.inject({
      method: 'POST',
      url: '/v1/step',
      headers: { 'content-type': type, ...(encoding && { 'content-encoding': encoding }) },
      payload: STEP,
    });
    expect(response.statusCode).toBe(415);
    expect(response.json().code).toBe('unsupported_media_type');
    expect(response.headers['content-type']).toMatch(/^application\/problem\+json/);
  });

  test.each(['utf-8', '"UTF-8"', 'utf8', 'us-ascii'])('JSON with the charset %s is read', async (charset) => {
    const response = await app.http.inject({
      method: 'POST',
      url: '/v1/step',
      headers: { 'content-type': `application/json; charset=${charset}` },
      payload: STEP,
    });
    expect(response.statusCode).toBe(200);
  });

  test.each(['latin1', 'ISO-8859-1', 'utf-16', '"windows-1252"'])('JSON with the charset %s is refused', async (charset) => {
    const type = `application/json; charset=${charset}`;
    const response = await app.http.inject({
      method: 'POST',
      url: '/v1/step',
      headers: { 'content-type': type },
      payload: Buffer.from(STEP, 'latin1'),
    });
    expect(response.statusCode).toBe(415);
    expect(response.json().code).toBe('unsupported_media_type');
    expect(response.json().detail).toContain(`application/json in UTF-8`);
    expect(response.json().detail).toContain(JSON.stringify(type));
  });

  test('a charset without a body is accepted', async () => {
    const headers = { 'content-type': 'application/json; charset=latin1' };
    expect((await app.http.inject({ method: 'GET', url: '/v1/models', headers })).statusCode).toBe(200);
  });

  test('every error code has an anchor on the page that problems link to', async () => {
    const page = await app.http.inject('/problems');
    for (const code of Object.keys(ERRORS)) expect(page.body).toContain(`id="${code}"`);
  });
});

test.each(['/health/live', '/nowhere', '/v1/models/nobody'])(
  '%s has the security headers',
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
