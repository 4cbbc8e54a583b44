// WebSockets when the server is shut down.
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { MemoryStore } from '../../../src/store/memory.ts';
import { StreamClient } from '../../helpers/stream-client.ts';
import { SlowStore, handshake, listen, rawSocketOf } from './server.ts';

describe('shutdown', () => {
  test('shutdown sends idle connections a problem and closes them at once', async () => {
    const other = await listen();
    const id = await other.create();
    const clients = await Promise.all(Array.from({ length: 20 }, () => other.connect(id)));
    const start = performance.now();
    await other.app.close();
    // They would be idle for 75 s by default.
    expect(performance.now() - start).toBeLessThan(10_000);
    for (const { client } of clients) {
      const { error } = await client.nextJson();
      expect(error).toMatchObject({ code: 'shutting_down', applied: 'unknown', retry_after_s: 1 });
      expect(await client.closed).toEqual({ code: 1001 });
    }
  });

  test('the message under way is answered, and those after it are refused as not applied', async () => {
    const store = new SlowStore(1e9);
    const other = await listen({}, { store });
    const id = await other.create();
    const { client } = await other.connect(id);
    store.delayMs = 100;
    for (let k = 0; k < 5; k++) client.send({ x: [[1]], id: k });
    await sleep(50);
    const closed = other.app.close();
    expect(await client.nextJson()).toMatchObject({ id: 0, session: { t: 1 } });
    for (let k = 1; k < 5; k++) {
      const { id: tag, error } = await client.nextJson();
      expect([tag, error.code, error.applied]).toEqual([k, 'shutting_down', 'no']);
    }
    expect((await client.nextJson()).id).toBeUndefined();
    expect(await client.closed).toEqual({ code: 1001 });
    await closed;
    expect(await other.app.sessions.read(id).catch(() => undefined)).toMatchObject({ t: 1 });
  });

  test('shutdown does not wait for a client that does not read, or does not close', async () => {
    const other = await listen();
    const id = await other.create();
    const path = `/v1/sessions/${id}/stream`;
    const withoutClose = connectTcp(other.port, '127.0.0.1');
    withoutClose.write(handshake(path));
    await once(withoutClose, 'data');
    const { client } = await other.connect(id);
    rawSocketOf(client).pause();
    const x = Array.from({ length: 20_000 }, () => [[1]]);
    for (let k = 0; k < 60; k++) client.send({ x });
    await sleep(1_000);
    const start = performance.now();
    await other.app.close();
    // SHUTDOWN_TIMEOUT_MS is 30 s.
    expect(performance.now() - start).toBeLessThan(20_000);
    withoutClose.destroy();
  });

  test('handshakes are refused with a problem, and those that had begun are completed', async () => {
    class LateStore extends SlowStore {
      override async read(...args: Parameters<MemoryStore['read']>) {
        await sleep(300);
        return super.read(...args);
      }
    }
    const late = await listen({ HOT_SESSIONS_BYTES_MAX: '0' }, { store: new LateStore(1e9) });
    const id = await late.create();
    const begun = new StreamClient(late.streamUrl(id));
    await sleep(100);
    const closed = late.app.close();
    const refused = await late.app.http.inject(`/v1/sessions/${id}/stream`).catch(() => undefined);
    if (refused) expect(refused.statusCode).toBe(503);
    await begun.closed;
    await closed;
  });
});
