// Limits of a WebSocket: message size, time, memory, and bytes that are not the protocol.
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test, vi } from 'vitest';
import { padded } from '../../helpers/padding.ts';
import { type Server, LIMITS, SlowStore, TINY, frameBytes, listen, rawSocketOf } from './server.ts';

const server = await listen(LIMITS);
/** Until bytes have arrived, or the end of a connection has been noticed. */
const BUSY = { timeout: 10_000 };

/** Undefined if a step of this body is computed. */
async function codeOf({ app }: Server, body: string): Promise<string | undefined> {
  return (await app.post('/v1/step', body)).body.code;
}

describe('limits', () => {
  const [TEXT, BINARY, CONTINUE, LAST] = [0x01, 0x82, 0x00, 0x80];

  /** Connects and then writes bytes past the client library. */
  async function attack(target: Server, ...chunks: Buffer[]) {
    const id = await target.create();
    const { client } = await target.connect(id);
    for (const chunk of chunks) rawSocketOf(client).write(chunk);
    return { id, client };
  }

  /** As attack, and waits until the bytes have arrived. */
  async function attackWhole(target: Server, bytes: Buffer) {
    const accepted = once(target.app.http.server, 'connection') as Promise<[Socket]>;
    const attacker = await attack(target, bytes);
    const [socket] = await accepted;
    await vi.waitUntil(() => socket.bytesRead > bytes.length, BUSY);
    return attacker;
  }

  test('a message in fragments is one message', async () => {
    const text = Buffer.from('{"x":[[0.5]],"id":"é"}');
    const parts = Array.from(text, (byte, k) =>
      frameBytes(k === 0 ? TEXT : k === text.length - 1 ? LAST : CONTINUE, Buffer.of(byte)),
    );
    const { client } = await attack(server, Buffer.concat(parts));
    expect(await client.nextJson()).toMatchObject({ id: 'é', session: { t: 1 } });
    await client.close();
  });

  test.each([
    ['declared', [frameBytes(BINARY, Buffer.alloc(10), 100_001)]],
    ['declared beyond 2^53', [frameBytes(BINARY, Buffer.alloc(10), Number.MAX_SAFE_INTEGER)]],
    ['sent', [frameBytes(BINARY, Buffer.alloc(100_001))]],
    [
      'in fragments',
      [frameBytes(0x02, Buffer.alloc(99_999)), frameBytes(CONTINUE, Buffer.alloc(2))],
    ],
  ])('a message that is too large (%s) is answered with a problem before 1009', async (_, chunks) => {
    const { id, client } = await attack(server, ...chunks);
    const { error } = await client.nextJson();
    expect(error).toMatchObject({ code: 'body_too_large', applied: 'unknown' });
    expect(error.detail).toContain('BODY_BYTES_MAX');
    expect(await client.closed).toEqual({ code: 1009 });
    expect((await server.read(id)).t).toBe(0);
  });

  test('the largest message is accepted', async () => {
    const { client } = await server.connect(await server.create());
    const message = '{"x":[[1]]}';
    expect((await client.ask(padded(message, 100_000 - message.length))).session.t).toBe(1);
    await client.close();
  });

  test.each([
    ['invalid UTF-8', frameBytes(0x81, Buffer.of(0xc3, 0x28)), 1007],
    ['a surrogate', frameBytes(0x81, Buffer.of(0xed, 0xa0, 0x80)), 1007],
    ['a frame without mask', Buffer.of(0x81, 0x02, 0x7b, 0x7d), 1002],
    ['an unknown opcode', frameBytes(0x83, Buffer.alloc(2)), 1002],
    ['reserved bits', frameBytes(0xf1, Buffer.alloc(2)), 1002],
    ['a continuation of nothing', frameBytes(LAST, Buffer.alloc(2)), 1002],
  ])('%s closes with its code', async (_, bytes, code) => {
    const { id, client } = await attack(server, bytes);
    expect(await client.closed).toEqual({ code });
    expect((await server.read(id)).t).toBe(0);
  });

  test('a message that is not complete in time is answered with a problem before 1008', async () => {
    const quick = await listen({ REQUEST_TIMEOUT_MS: '200' });
    const startMs = performance.now();
    const { client } = await attack(quick, frameBytes(BINARY, Buffer.alloc(10), 1_000));
    expect((await client.nextJson()).error.code).toBe('request_timeout');
    expect(await client.closed).toEqual({ code: 1008 });
    // It is 10 s by default.
    expect(performance.now() - startMs).toBeLessThan(8_000);
  });

  test('only received bytes count for the budget, and they are released when the connection is closed', async () => {
    const limits = { BODY_BYTES_MAX: '100000', BODIES_BYTES_MAX: '150000' };
    const small = await listen(limits);
    const body = JSON.stringify({ weights: TINY, x: [[1]] });
    const large = padded(body, 80_000);
    const announced = frameBytes(BINARY, Buffer.alloc(1), 90_000);
    const others = [await attackWhole(small, announced), await attackWhole(small, announced)];
    expect((await small.app.post('/v1/step', large)).status).toBe(200);
    for (const { client } of others) client.socket.terminate();
    const sent = frameBytes(BINARY, Buffer.alloc(89_000), 90_000);
    const { client: holder } = await attackWhole(small, sent);
    expect(await codeOf(small, large)).toBe('queue_full');
    const { client } = await attack(small, sent);
    const { error } = await client.nextJson();
    expect(error).toMatchObject({ code: 'queue_full', applied: 'unknown', retry_after_s: 1 });
    expect(await client.closed).toEqual({ code: 1013 });
    holder.socket.terminate();
    await expect.poll(() => codeOf(small, large), BUSY).toBe(undefined);
  });

  test('empty messages count as well, and all is released', async () => {
    const small = await listen({ BODIES_BYTES_MAX: '200000', BODY_BYTES_MAX: '190000' });
    const empty = Buffer.of(0x81, 0x80, 0, 0, 0, 0);
    const { client } = await attack(small, Buffer.concat(Array(10_000).fill(empty)));
    for (let k = 0; k < 10_000; k++) {
      expect((await client.nextJson()).error.code).toBe('malformed_json');
    }
    client.socket.terminate();
    // Together far more than the budget: each waits for those before it.
    const { client: next } = await small.connect(await small.create());
    const message = '{"x":[[1]]}';
    for (let k = 0; k < 50; k++) next.send(padded(message, k % 2 === 0 ? 150_000 : 0));
    for (let k = 1; k <= 50; k++) expect((await next.nextJson()).session.t).toBe(k);
    for (let k = 0; k < 50; k++) next.send(padded(message, 150_000));
    await next.nextJson();
    next.socket.terminate();
    const body = JSON.stringify({ weights: TINY, x: [[1]] });
    await expect.poll(() => codeOf(small, padded(body, 180_000)), BUSY).toBe(undefined);
  });

  test('a message that is computed when its connection is lost is released once', async () => {
    const store = new SlowStore(1e9);
    const limits = { BODIES_BYTES_MAX: '200000', BODY_BYTES_MAX: '190000' };
    const small = await listen(limits, { store });
    const { client } = await small.connect(await small.create());
    store.delayMs = 100;
    client.send(padded('{"x":[[1]]}', 150_000));
    await sleep(50);
    client.socket.terminate();
    await sleep(300);
    const large = padded(JSON.stringify({ weights: TINY, x: [[1]] }), 180_000);
    await expect.poll(() => codeOf(small, large), BUSY).toBe(undefined);
    await attackWhole(small, frameBytes(BINARY, Buffer.alloc(29_000), 30_000));
    expect(await codeOf(small, large)).toBe('queue_full');
  });
});
