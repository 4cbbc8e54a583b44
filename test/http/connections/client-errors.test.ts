// Bytes that are not an HTTP request, and requests whose client disconnects: problems and log lines.
import { describe, expect, test } from 'vitest';
import { eventually, RawClient, until } from '../../helpers/raw-client.ts';
import { requestText } from '../../helpers/request-text.ts';
import { JSON_TYPE, LIVE, SOON_MS, expectProblem, listen, longStream, stepRequest } from './server.ts';

describe('client errors', () => {
  test('a client error after a running stream closes the connection without a second head', async () => {
    const server = await listen();
    const client = new RawClient(server.port, longStream());
    await eventually(() => client.text.includes('"t":2'), SOON_MS);
    client.send('GARBAGE\r\n\r\n');
    expect(await client.closedWithin(SOON_MS)).toBe(true);
    expect(client.text.split('HTTP/1.1 ')).toHaveLength(2);
    expect(server.lines().filter(({ msg }) => msg === 'request')).toHaveLength(1);
  });

  test.each([
    ['bytes', 'NONSENSE / HTTP/1.1\r\n\r\n', 400, 'invalid_request'],
    ['half a head', 'GET /health/live HTTP/1.1\r\nhost: x\r\n', 408, 'request_timeout'],
    ['a head of 32 KiB', requestText('GET', '/', { a: 'b'.repeat(32_768) }), 431, 'headers_too_large'],
    ['no host', 'GET /v1/models HTTP/1.1\r\n\r\n', 400, 'invalid_request'],
    ['two hosts', 'GET /v1/models HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n', 400, 'invalid_request'],
    ['two equal hosts', 'GET /v1/models HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n', 400, 'invalid_request'],
    ['two hosts in HTTP/1.0', 'GET /v1/models HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n', 400, 'invalid_request'],
    ['CONNECT', 'CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n', 405, 'method_not_allowed'],
    ['a star as the target', 'GET * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n', 400, 'invalid_request'],
    ['a malformed path', requestText('GET', '/v1/%'), 400, 'invalid_request'],
    ['a transfer coding', requestText('POST', '/v1/step', { ...JSON_TYPE, 'transfer-encoding': 'gzip, chunked' }, '0\r\n\r\n'), 415, 'unsupported_media_type'],
    ['an expectation', stepRequest({ expect: 'wonders' }), 417, 'expectation_failed'],
    ['a malformed chunk', requestText('POST', '/v1/step', { ...JSON_TYPE, 'transfer-encoding': 'chunked' }, 'x\r\n'), 400, 'invalid_request'],
  ])('%s: a problem with an id and headers, and a line in the log', async (_, bytes, status, code) => {
    const server = await listen({ REQUEST_TIMEOUT_MS: '200' });
    const client = new RawClient(server.port, bytes);
    const response = await client.answer();
    const problem = expectProblem(response);
    expect([response.status, problem.code]).toEqual([status, code]);
    await eventually(() => server.lines().some(({ statusCode }) => statusCode === status), SOON_MS);
    const lines = server.lines().filter(({ statusCode }) => statusCode === status);
    expect(lines).toHaveLength(1);
    expect(lines[0].reqId).toBe(response.headers['x-request-id']);
  });

  test('one Host header is enough, and HTTP/1.0 needs none', async () => {
    const server = await listen();
    for (const head of ['HTTP/1.1\r\nHost: a', 'HTTP/1.0\r\nAccept: */*']) {
      const client = new RawClient(server.port, `GET /health/live ${head}\r\n\r\n`);
      expect((await client.answer()).status).toBe(200);
    }
  });

  test.each([{}, { BASE_PATH: '/ml' }])('the star is the target of OPTIONS alone: with %j it is answered with the methods', async (settings) => {
    const server = await listen(settings);
    const client = new RawClient(server.port, 'OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 3\r\n\r\nabc');
    const { status, headers, body } = await client.answer();
    expect([status, headers.allow, body]).toEqual([204, 'GET, HEAD, POST, PUT, DELETE', '']);
    const head = new RawClient(server.port, 'HEAD * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n');
    await eventually(() => head.text.includes('\r\n\r\n'), SOON_MS);
    expect(head.text).toMatch(/^HTTP\/1\.1 400 /);
  });

  test('CONNECT: the methods that are served are named, what follows is discarded and the connection closed', async () => {
    const server = await listen();
    const client = new RawClient(server.port, `CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n${LIVE}`);
    const response = await client.answer();
    expect(response.headers).toMatchObject({ allow: 'GET, HEAD, POST, PUT, DELETE', connection: 'close' });
    expect(expectProblem(response).detail).toBe('CONNECT a:443 is not served: this server is no proxy.');
    expect(await client.closedWithin(SOON_MS)).toBe(true);
    client.send('x');
    expect(client.answers).toHaveLength(1);
  });

  test('CONNECT before the response to an earlier request closes the connection without a second head', async () => {
    const server = await listen();
    const client = new RawClient(server.port, longStream());
    await eventually(() => client.text.includes('"t":2'), SOON_MS);
    client.send('CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n');
    expect(await client.closedWithin(SOON_MS)).toBe(true);
    expect(client.text.split('HTTP/1.1 ')).toHaveLength(2);
  });

  test('one line is logged for a request whose client disconnects', async () => {
    const server = await listen();
    const client = new RawClient(server.port, longStream());
    expect(await until(() => client.text.includes('"t":2'), SOON_MS)).toBe(true);
    client.socket.destroy();
    await eventually(() => server.lines().some(({ msg }) => msg === 'request'), SOON_MS);
    const lines = server.lines().filter(({ msg }) => msg === 'request');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ route: '/v1/sequence', unanswered: 'the client left' });
  });

  test('one line is logged for each request pipelined after it, which Fastify has not received', async () => {
    const server = await listen();
    let begun = 0;
    server.app.http.server.on('request', () => begun++);
    const client = new RawClient(server.port, longStream() + LIVE.repeat(100), false);
    await eventually(() => begun > 1, SOON_MS);
    client.socket.destroy();
    const lines = () => server.lines().filter(({ msg, unanswered }) => msg === 'request' && unanswered);
    await eventually(() => lines().length >= 2, SOON_MS);
    const ids = lines().map(({ reqId }) => reqId as string | undefined);
    expect(ids.filter((id) => id !== undefined)).toHaveLength(1);
    expect(lines().at(-1)).toMatchObject({ method: 'GET', unanswered: 'the client left' });
  });
});
