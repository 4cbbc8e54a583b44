// A WebSocket client that does not read its responses.
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { padded } from '../../helpers/padding.ts';
import { randomRecurrence, weightsBody } from '../../helpers/recurrence.ts';
import { listen, rawSocketOf } from './server.ts';

describe('a client that does not read', () => {
  test('the messages stay in the buffers of the client, and all responses arrive when it reads', async () => {
    const roomy = await listen({ SESSION_QUEUE_MAX: '4' });
    const { weights } = randomRecurrence({ T: 1, N: 1, D: 1, H: 64 }, 1);
    const id = await roomy.create({ weights: weightsBody(weights) });
    const { client } = await roomy.connect(id);
    const socket = rawSocketOf(client);
    socket.pause();
    // 100 kB in, about 1 MB out.
    const x = Array.from({ length: 1_500 }, () => [[0.5]]);
    const message = padded(JSON.stringify({ x }), 90_000);
    let count = 0;
    let sentBytes = 0;
    let version = 0;
    const before = process.memoryUsage();
    // The system may have room for some megabytes between the two: then more are sent.
    for (let attempts = 0; client.socket.bufferedAmount === 0 && attempts < 4; attempts++) {
      for (let k = 0; k < 80; k++) client.send(message);
      count += 80;
      sentBytes += client.socket.bufferedAmount;
      for (let before = -1; version === 0 || version !== before; ) {
        before = version;
        await sleep(500);
        ({ version } = await roomy.read(id));
      }
    }
    const after = process.memoryUsage();
    // The responses fill at most the systems' buffers; the other messages stay in the client's buffer.
    expect(version).toBeGreaterThan(0);
    expect(version).toBeLessThan(30);
    expect(client.socket.bufferedAmount).toBeGreaterThan(0);
    const grownBytes = after.external + after.heapUsed - before.external - before.heapUsed;
    console.info(`${version} of ${count} computed, ${(grownBytes / 2 ** 20).toFixed(1)} MiB grown`);
    expect(grownBytes - sentBytes).toBeLessThan(64 * 2 ** 20);
    socket.resume();
    for (let k = 1; k <= count; k++) expect((await client.nextJson()).session.version).toBe(k);
    await client.close();
  });

  test('the client is disconnected if it does not answer pings either', async () => {
    const quick = await listen({ KEEP_ALIVE_TIMEOUT_MS: '300' });
    const id = await quick.create();
    const { client: silent } = await quick.connect(id, { autoPong: false });
    const { client: idle } = await quick.connect(id);
    expect(await Promise.race([silent.closed, sleep(20_000)])).toEqual({ code: 1006 });
    await sleep(500);
    expect((await idle.ask({ x: [[1]] })).session.t).toBe(1);
    await idle.close();
  });
});
