// Which web pages may open a WebSocket: a browser lets any page try, and says which it is.
import { describe, expect, test } from 'vitest';
import { exchange, handshake, listen, problemOf } from './server.ts';

const PAGE = 'https://app.example.org';
const plain = await listen();
const listed = await listen({ CORS_ORIGINS: PAGE, PUBLIC_URL: 'https://public.example/rnn', ALLOWED_HOSTS: 'inner.example' });
const forAll = await listen({ CORS_ORIGINS: '*' });

type Server = typeof plain;
const sessions = new Map<Server, string>();

/** The status with which a handshake is answered that names `host` and `origin`. */
async function statusOf(server: Server, host: string, origin?: string): Promise<number> {
  const id = sessions.get(server) ?? (await server.create());
  sessions.set(server, id);
  const text = await exchange(server.port, handshake(`/v1/sessions/${id}/stream`, { host, ...(origin !== undefined && { origin }) }));
  return Number(text.split(' ')[1]);
}

describe('without CORS_ORIGINS', () => {
  test.each([
    ['localhost:8080', undefined],
    ['localhost:8080', 'http://localhost:8080'],
    ['127.0.0.1', 'http://127.0.0.1'],
    ['127.0.0.1:80', 'http://127.0.0.1'],
    // Behind a gateway that speaks TLS.
    ['localhost', 'https://localhost'],
    ['localhost:443', 'https://localhost'],
    ['LOCALHOST', 'https://localhost'],
    ['[::1]:8080', 'http://[::1]:8080'],
  ])('Host %s is called by a page of %s', async (host, origin) => {
    expect(await statusOf(plain, host, origin)).toBe(101);
  });

  test.each([
    ['localhost:8080', 'http://localhost:8081'],
    ['localhost:8080', 'http://localhost'],
    ['localhost', 'https://evil.example'],
    ['localhost', 'null'],
    ['localhost', ''],
    ['localhost', 'https://localhost/'],
    ['localhost', 'https://localhost, https://evil.example'],
    ['localhost', 'https://u@localhost'],
    ['localhost', 'localhost'],
    ['localhost', 'file://localhost'],
    ['localhost', 'https://localhost.evil.example'],
    ['localhost:8080', PAGE],
  ])('Host %s is not called by a page of %j', async (host, origin) => {
    expect(await statusOf(plain, host, origin)).toBe(403);
  });
});

test('with CORS_ORIGINS its pages may, those of PUBLIC_URL, and no others', async () => {
  for (const origin of [PAGE, 'https://public.example', 'http://inner.example']) expect(await statusOf(listed, 'inner.example', origin)).toBe(101);
  for (const origin of [`${PAGE}:8443`, 'http://app.example.org', 'null', 'http://public.example:81']) {
    expect(await statusOf(listed, 'inner.example', origin)).toBe(403);
  }
});

test.each(['https://any.example', 'null'])('CORS_ORIGINS=* lets a page of %s', async (origin) => {
  expect(await statusOf(forAll, 'localhost', origin)).toBe(101);
});

test('the problem says what to do, and nothing about the session', async () => {
  for (const id of [await plain.create(), 'AAAAAAAAAAAAAAAAAAAAAA']) {
    const { status, body } = problemOf(await exchange(plain.port, handshake(`/v1/sessions/${id}/stream`, { origin: PAGE })));
    expect([status, body.code]).toEqual([403, 'origin_not_allowed']);
    expect(body.detail).toBe(`Pages of "${PAGE}" may not open WebSockets here. If they are to, add that origin to CORS_ORIGINS.`);
  }
});
