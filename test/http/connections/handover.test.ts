// The end of the connections of an instance that is replaced: whoever connects is refused, and so turns to another
// instance, and no request that was sent on a connection that is open stays without its response.
import type { AddressInfo } from 'node:net';
import fp from 'fastify-plugin';
import { describe, expect, test } from 'vitest';
import { RawClient, eventually } from '../../helpers/raw-client.ts';
import type { AppOverrides } from '../../../src/app.ts';
import { buildApp } from '../../helpers/app.ts';
import { LIVE, SOON_MS, stepRequest } from './server.ts';

/** Each test ends the service that it has. */
async function listen(overrides: AppOverrides = {}) {
  const app = await buildApp({}, overrides);
  await app.http.listen({ port: 0, host: '127.0.0.1' });
  return { app, port: (app.http.server.address() as AddressInfo).port };
}

async function connected(port: number): Promise<RawClient> {
  const client = new RawClient(port, LIVE);
  expect((await client.answer()).headers.connection).toBe('keep-alive');
  return client;
}

describe('drain', () => {
  test('new connections are refused; a connection that is open gets one more response, which closes it', async () => {
    const { app, port } = await listen();
    const clients = await Promise.all([connected(port), connected(port)]);
    const drained = app.drain(1);
    const refused = new Promise<string>((resolve) => {
      const attempt = () => {
        const late = new RawClient(port);
        late.socket.once('error', ({ message }) => resolve(message));
        late.socket.once('connect', () => late.socket.destroy() && setTimeout(attempt, 1));
      };
      attempt();
    });
    expect(await refused).toContain('ECONNREFUSED');
    for (const client of clients) {
      expect(client.isClosed).toBe(false);
      client.send(stepRequest());
      const { status, headers } = await client.answer(1);
      expect([status, headers.connection]).toEqual([200, 'close']);
      expect(await client.closedWithin(SOON_MS)).toBe(true);
    }
    await drained;
    await app.close();
  });

  test('requests that were sent without waiting are all answered, and the last response closes the connection', async () => {
    const { app, port } = await listen();
    const client = await connected(port);
    const drained = app.drain(1);
    await eventually(() => !app.http.server.listening, SOON_MS);
    client.send(stepRequest().repeat(5));
    await eventually(() => client.answers.length === 6, SOON_MS);
    expect(client.answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200]);
    expect(client.answers.slice(1).map(({ headers }) => headers.connection)).toEqual([
      ...Array.from({ length: 4 }, () => 'keep-alive'),
      'close',
    ]);
    await drained;
    await app.close();
  });

  test('a request that is being served closes its connection, too', async () => {
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const { app, port } = await listen({
      plugin: fp((instance, _options, done) => {
        instance.addHook('preHandler', async ({ url }) => {
          if (url !== '/v1/step') return;
          begin();
          await released;
        });
        done();
      }),
    });
    const client = await connected(port);
    client.send(stepRequest());
    await begun;
    await app.drain(1);
    release();
    expect((await client.answer(1)).headers.connection).toBe('close');
    await app.close();
  });

  test('connections without a request are waited for, but not for long', async () => {
    const { app, port } = await listen();
    const client = await connected(port);
    const start = performance.now();
    await app.drain(1);
    expect(performance.now() - start).toBeGreaterThan(500);
    expect(client.isClosed).toBe(false);
    await app.close();
    expect(await client.closedWithin(SOON_MS)).toBe(true);
    expect(performance.now() - start).toBeLessThan(10_000);
  });

  test('control: without a delay connections end at once, and a request that was sent meanwhile is lost', async () => {
    const { app, port } = await listen();
    const client = await connected(port);
    await app.drain(0);
    expect(app.http.server.listening).toBe(true);
    const closed = app.close();
    client.send(stepRequest());
    expect(await client.closedWithin(SOON_MS)).toBe(true);
    expect(client.answers).toHaveLength(1);
    await closed;
  });
});
