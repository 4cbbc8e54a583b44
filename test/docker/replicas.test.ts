// Which of two replicas behind the gateway serves a call: the calls on a session reach one, all others any.
import type { AddressInfo } from 'node:net';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { buildApp } from '../helpers/app.ts';
import { type Gateway, startGateway } from '../helpers/gateway.ts';
import { describeWith } from '../helpers/needs.ts';
import { StreamClient } from '../helpers/stream-client.ts';
import { SharedStore } from '../sessions/setup.ts';

describeWith('nginx', 'two replicas behind the gateway', () => {
  let gateway: Gateway;
  const replicas: Awaited<ReturnType<typeof startReplica>>[] = [];
  /** The number of the replica that served each request. */
  let served: number[] = [];

  const startReplica = async (store: SharedStore, number: number) => {
    const app = await buildApp({}, { store });
    app.http.server.prependListener('request', () => served.push(number));
    app.http.server.prependListener('upgrade', () => served.push(number));
    await app.http.listen({ host: '127.0.0.1', port: 0 });
    return { app, port: (app.http.server.address() as AddressInfo).port };
  };

  beforeAll(async () => {
    const store = new SharedStore(1e9);
    replicas.push(await startReplica(store, 0), await startReplica(store, 1));
    gateway = await startGateway(replicas.map(({ port }) => port));
  });

  beforeEach(() => {
    served = [];
  });

  const call = async (path: string, body?: unknown, headers: Record<string, string> = {}): Promise<{ status: number; body: any }> => {
    const json = { 'content-type': 'application/json' };
    const request = { method: 'POST', headers: { ...json, ...headers }, body: JSON.stringify(body) };
    const response = await fetch(gateway.url + path, body === undefined ? { headers } : request);
    return { status: response.status, body: await response.json() };
  };
  const create = async (): Promise<string> => (await call('/v1/sessions', { model: 'sunspots' })).body.id;
  /** A call by the header, one by the path, and one on a WebSocket. */
  const useSession = async (id: string): Promise<void> => {
    expect((await call('/v1/step', { x: [[0.5]] }, { 'x-session-id': id })).status).toBe(200);
    expect((await call(`/v1/sessions/${id}`)).status).toBe(200);
    const { client } = await StreamClient.connect(`${gateway.url.replace('http', 'ws')}/v1/sessions/${id}/stream`);
    expect((await client.ask({ x: [[0.5]] })).session.id).toBe(id);
    await client.close();
  };

  test('the calls on a session reach one replica, and not all sessions the same', async () => {
    const used = new Set<number>();
    for (let k = 0; k < 16; k++) {
      const id = await create();
      served = [];
      await useSession(id);
      // Behind a path the same; these replicas have no BASE_PATH.
      expect((await call(`/base/v1/sessions/${id}`)).status).toBe(404);
      expect(served).toHaveLength(4);
      expect(new Set(served).size).toBe(1);
      used.add(served[0]!);
    }
    expect(used.size).toBe(2);
  });

  test('calls without a session reach both', async () => {
    for (let k = 0; k < 32; k++) {
      expect((await call('/v1/step', { model: 'sunspots', x: [[0.5]] })).status).toBe(200);
    }
    expect(new Set(served).size).toBe(2);
  });

  // The last one: a replica ends.
  test('the sessions of a replica that ends are served by the other, without an error', async () => {
    const ids = await Promise.all(Array.from({ length: 8 }, create));
    served = [];
    for (const id of ids) await useSession(id);
    expect(new Set(served).size).toBe(2);
    const { app } = replicas[0]!;
    await app.drain(1);
    await app.close();
    served = [];
    for (const id of ids) await useSession(id);
    expect(new Set(served)).toEqual(new Set([1]));
  });
});
