// The handshake of a WebSocket on a session, and the problems with which it is refused.
import { describe, expect, test } from 'vitest';
import { LIMITS, TINY, exchange, handshake, listen, problemOf } from './server.ts';

const server = await listen(LIMITS);

describe('the handshake', () => {
  test('the handshake is followed by a message with the state of the session', async () => {
    const id = await server.create();
    await server.app.post('/v1/step', { session: id, x: [[1]] });
    const { client, greeting } = await server.connect(id);
    const response = await server.app.http.inject(`/v1/sessions/${id}`);
    const { t, version, digest, expires_at } = response.json();
    const { etag } = response.headers;
    expect(greeting).toEqual({ session: { id, t, version, digest, expires_at, etag } });
    expect([t, version]).toEqual([1, 1]);
    await client.close();
  });

  test('a handshake for an unknown or deleted session is refused with a problem', async () => {
    const id = await server.create();
    await server.app.http.inject({ method: 'DELETE', url: `/v1/sessions/${id}` });
    for (const [path, status, code] of [
      ['AAAAAAAAAAAAAAAAAAAAAA', 404, 'session_not_found'],
      [id, 410, 'session_gone'],
      ['a%20b', 404, 'session_not_found'],
    ] as const) {
      const response = problemOf(await exchange(server.port, handshake(`/v1/sessions/${path}/stream`)));
      expect([response.status, response.body.code, response.body.applied]).toEqual([status, code, 'no']);
    }
  });

  test('a handshake without an upgrade, or with a body, is 426', async () => {
    const path = `/v1/sessions/${await server.create()}/stream`;
    const plain = await server.app.http.inject(path);
    expect([plain.statusCode, plain.json().code]).toEqual([426, 'upgrade_required']);
    expect(plain.headers.upgrade).toBe('websocket');
    const close = { connection: 'Upgrade, close', 'content-length': '2' };
    const response = problemOf(await exchange(server.port, `${handshake(path, close)}{}`));
    expect([response.status, response.body.code]).toEqual([426, 'upgrade_required']);
    const post = await server.app.http.inject({ method: 'POST', url: path });
    expect([post.statusCode, post.headers.allow]).toEqual([405, 'GET, HEAD']);
  });

  test.each([
    ['another version', { 'sec-websocket-version': '99' }],
    ['a malformed key', { 'sec-websocket-key': 'x' }],
    ['malformed protocols', { 'sec-websocket-protocol': ',,' }],
  ])('a handshake with %s is refused with a problem', async (_, headers) => {
    const path = `/v1/sessions/${await server.create()}/stream`;
    const response = problemOf(await exchange(server.port, handshake(path, headers)));
    expect([response.status, response.body.code]).toEqual([400, 'invalid_request']);
    expect(response.headers).toContain('sec-websocket-version: 13');
  });

  test('the handshake selects no subprotocol and no compression', async () => {
    const path = `/v1/sessions/${await server.create()}/stream`;
    const text = await exchange(server.port, handshake(path, {
      'sec-websocket-protocol': 'chat',
      'sec-websocket-extensions': 'permessage-deflate',
      connection: 'Upgrade',
    }));
    expect(text).toMatch(/^HTTP\/1.1 101 /);
    expect(text.toLowerCase()).not.toMatch(/sec-websocket-(protocol|extensions)/);
  });

  // Some clients offer HTTP/2 with every request.
  test('an upgrade at another address is ignored, and the request answered', async () => {
    const body = JSON.stringify({ weights: TINY, x: [[1]] });
    const head =
      'POST /v1/step HTTP/1.1\r\nhost: localhost\r\nconnection: Upgrade, HTTP2-Settings, close\r\n' +
      'upgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\ncontent-type: application/json\r\n' +
      `content-length: ${body.length}\r\n\r\n`;
    const response = problemOf(await exchange(server.port, head + body));
    expect([response.status, response.body]).toEqual([200, { h: [[0.4699452, -0.26362485]] }]);
    const live = handshake('/health/live', { connection: 'Upgrade, close' });
    expect(problemOf(await exchange(server.port, live)).body).toEqual({ status: 'ok' });
  });
});
