// GET /v1/stream: one WebSocket for many sessions.
import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { METRICS } from '../../../src/metrics/catalogue.ts';
import { readSafetensorsFile } from '../../../src/codec/safetensors/read.ts';
import { pseudoRandom } from '../../../src/wasm/pseudo-random.ts';
import { makeKeys } from '../../helpers/access.ts';
import { sumOf } from '../../helpers/prometheus.ts';
import { sized } from '../../helpers/long.ts';
import { StreamClient } from '../../helpers/stream-client.ts';
import { LIMITS, SlowStore, type Server, exchange, fileOf, handshake, listen, problemOf } from './server.ts';

const server = await listen(LIMITS);
const urlOf = ({ port }: Server) => `ws://127.0.0.1:${port}/v1/stream`;
const open = async (at: Server = server) => (await StreamClient.connect(urlOf(at))).client;

async function answersOf(client: StreamClient, count: number): Promise<any[]> {
  return Array.from({ length: count }).reduce<Promise<any[]>>(async (all) => [...(await all), await client.nextJson()], Promise.resolve([]));
}

test('the greeting, and messages of several sessions with their ids', async () => {
  const { client, greeting } = await StreamClient.connect(urlOf(server));
  expect(greeting).toEqual({ ready: true });
  const ids = await Promise.all(Array.from({ length: 5 }, () => server.create()));
  for (let t = 0; t < 4; t++) for (const [k, session] of ids.entries()) client.send({ session, x: [[k + t]], id: `${k}/${t}` });
  const answers = await answersOf(client, 20);
  for (const [k, id] of ids.entries()) {
    const own = answers.filter((answer) => answer.id.startsWith(`${k}/`));
    expect(own.map(({ session }) => [session.id, session.t])).toEqual([1, 2, 3, 4].map((t) => [id, t]));
    const alone = await server.app.post('/v1/sequence', { weights: { W_x: [[0.5, -0.25]], W_h: [[0.1, 0.2], [-0.3, 0.4]], b: [0.01, -0.02] }, x: [0, 1, 2, 3].map((t) => [[k + t]]) });
    expect(own.map(({ h }) => h)).toEqual(alone.body.hs);
  }
  await client.close();
});

test('messages that come together for different sessions are computed as one mini-batch', async () => {
  const own = await listen({ ...LIMITS, METRICS_PORT: '9464' });
  const client = await open(own);
  const ids = await Promise.all(Array.from({ length: 20 }, () => own.create()));
  for (let t = 1; t <= 3; t++) {
    for (const session of ids) client.send({ session, x: [[t]], ...(t > 1 && { if_match: 'previous' }) });
    const answers = await answersOf(client, 20);
    expect(answers.map(({ session }) => session.t)).toEqual(ids.map(() => t));
  }
  // Not all of them need arrive in one piece.
  expect(sumOf(await own.app.metrics!.print(), METRICS.sharedSteps.name)).toBeGreaterThan(30);
  await client.close();
});

test('responses that are ready together are written together', async () => {
  const client = await open();
  const ids = await Promise.all(Array.from({ length: 20 }, () => server.create()));
  // The list that Node.js gives to it, and makes one of bytes.
  type Chunks = readonly Uint8Array[];
  const write = vi.spyOn(Socket.prototype as unknown as { _writev: (chunks: Chunks, done: unknown) => void }, '_writev');
  onTestFinished(() => write.mockRestore());
  for (const session of ids) client.send({ session, x: [[1]] });
  await answersOf(client, 20);
  // A frame is a head and a payload. Those of the service are not masked.
  const written = write.mock.calls.map(([chunks]) => chunks).filter(([head]) => head![0] === 0x81 && (head![1]! & 0x80) === 0);
  expect(Math.max(...written.map((chunks) => chunks.length / 2))).toBeGreaterThan(5);
  await client.close();
});

test('messages of one session keep their order although one of them takes long to read', async () => {
  const client = await open();
  const session = await server.create();
  const other = await server.create();
  // Beyond 12 KiB a message is read by a worker, a short one at once.
  const long = { session, x: Array.from({ length: 3_000 }, () => [[0.123456]]), id: 'long' };
  client.send(long);
  client.send({ session, x: [[1]], id: 'short', if_match: 'previous' });
  client.send({ session: other, x: [[1]], id: 'other' });
  const answers = await answersOf(client, 3);
  const byId = new Map(answers.map((answer) => [answer.id, answer]));
  expect([byId.get('long').session.t, byId.get('short').session.t, byId.get('other').session.t]).toEqual([3_000, 3_001, 1]);
  expect(answers.findIndex(({ id }) => id === 'long')).toBeLessThan(answers.findIndex(({ id }) => id === 'short'));
  await client.close();
});

test.each([
  ['malformed', '{'],
  ['without a session', { x: [[1]] }],
])('`previous` stands for no answer to a message before one that is %s: it may have been for this session', async (_, broken) => {
  const client = await open();
  const session = await server.create();
  client.send({ session, x: [[1]], id: 1 });
  client.send(broken);
  client.send({ session, x: [[1]], id: 3, if_match: 'previous' });
  client.send({ session, x: [[1]], id: 4 });
  client.send({ session, x: [[1]], id: 5, if_match: 'previous' });
  const answers = await answersOf(client, 5);
  const outcome = (id: number) => answers.find((answer) => answer.id === id)!;
  expect([1, 4, 5].map((id) => outcome(id).session.t)).toEqual([1, 2, 3]);
  expect(outcome(3).error).toMatchObject({ code: 'step_conflict', applied: 'no' });
  await client.close();
});

test('a slow session does not make the others wait', async () => {
  const store = new SlowStore(1e9);
  const slow = await listen(LIMITS, { store });
  const client = await open(slow);
  const [first, second] = [await slow.create(), await slow.create()];
  store.delayMs = 300;
  client.send({ session: first, x: [[1]], id: 'slow' });
  await sleep(100);
  store.delayMs = 0;
  client.send({ session: first, x: [[2]], id: 'behind it' });
  client.send({ session: second, x: [[1]], id: 'fast' });
  expect((await answersOf(client, 3)).map(({ id }) => id)).toEqual(['fast', 'slow', 'behind it']);
  await client.close();
});

test('an error is that of its message, and the connection stays open', async () => {
  const client = await open();
  const session = await server.create();
  const messages = [
    { session: 'AAAAAAAAAAAAAAAAAAAAAA', x: [[1]], id: 0 },
    { x: [[1]], id: 1 },
    { session, x: [[1, 2]], id: 2, key: 'k' },
    { session, x: [[1]], id: 3, if_match: 'previous' },
    { session, x: [[1]], id: 4, model: 'sunspots' },
    { session, x: [[1]], id: 5 },
    { session, x: [[1]], id: 6, if_match: 'previous' },
  ];
  for (const message of messages) client.send(message);
  client.send('{"session":');
  const answers = await answersOf(client, 8);
  const codes = new Map(answers.map(({ id, error }) => [id, error?.code]));
  expect([0, 1, 2, 3, 4, 5, 6, undefined].map((id) => codes.get(id))).toEqual([
    'session_not_found', 'invalid_request', 'shape_mismatch', 'step_conflict', 'invalid_request', undefined, undefined, 'malformed_json',
  ]);
  expect(answers.find(({ id }) => id === 2).error.applied).toBe('no');
  await client.close();
});

test('binary messages are answered by binary messages', async () => {
  const client = await open();
  const session = await server.create();
  client.send(fileOf({ session, x: [[0.5]], id: 'b' }));
  const { tensors, metadata } = readSafetensorsFile((await client.next()) as Buffer);
  expect([metadata.id, JSON.parse(metadata.session!).t, tensors.get('h')!.shape]).toEqual(['b', 1, [1, 2]]);
  await client.close();
});

test('the client that does not read its answers is not read from either', async () => {
  const client = await open();
  const ids = await Promise.all(Array.from({ length: 8 }, () => server.create()));
  client.socket.pause();
  const x = Array.from({ length: 500 }, () => [[0.1]]);
  let sent = 0;
  const isFull = () => client.socket.bufferedAmount > 1_000_000;
  for (; sent < 20_000 && !isFull(); sent++) {
    client.send({ session: ids[sent % 8], x, id: sent, outputs: ['hs'] });
    if (sent % 50 === 0) await sleep(1);
  }
  expect(isFull()).toBe(true);
  const { bytesUsed } = server.app.memory;
  await sleep(200);
  expect(server.app.memory.bytesUsed).toBeLessThan(bytesUsed + 50_000_000);
  client.socket.terminate();
  await vi.waitUntil(async () => (await server.app.post('/v1/step', { session: ids[0], x: [[1]] })).status === 200);
});

describe('the handshake', () => {
  test('anything but a WebSocket is told so', async () => {
    const response = await server.app.http.inject('/v1/stream');
    expect([response.statusCode, response.json().code]).toEqual([426, 'upgrade_required']);
  });

  test('a page of another origin is refused', async () => {
    const { status, body } = problemOf(await exchange(server.port, handshake('/v1/stream', { origin: 'https://evil.example' })));
    expect([status, body.code]).toEqual([403, 'origin_not_allowed']);
  });

  test('a key is needed where there are keys, and sessions of another tenant are absent', async () => {
    const keys = makeKeys();
    const [mine, theirs] = [keys.add('a'), keys.add('b')];
    const closed = await listen({ API_KEYS_FILE: keys.path });
    expect(problemOf(await exchange(closed.port, handshake('/v1/stream'))).status).toBe(401);
    const headers = (key: string) => ({ headers: { authorization: `Bearer ${key}` } });
    const created = await closed.app.http.inject({ method: 'POST', url: '/v1/sessions', ...headers(mine), payload: { model: 'sunspots' } });
    const { id: session } = created.json<{ id: string }>();
    const { client: other } = await StreamClient.connect(urlOf(closed), headers(theirs));
    expect((await other.ask({ session, x: [[0.5]] })).error.code).toBe('session_not_found');
    const { client: own } = await StreamClient.connect(urlOf(closed), headers(mine));
    expect((await own.ask({ session, x: [[0.5]] })).session.t).toBe(1);
    await Promise.all([other.close(), own.close()]);
  });
});

describe('connections that are lost at random moments', () => {
  const LOSSES = sized({ short: 12, long: 150 });
  const SESSIONS = 6;

  /** Sends numbered steps of several sessions; after a loss, those again that were not answered. @returns the steps sent of each */
  async function drive(at: Server, ids: readonly string[], withKeys: boolean, seed: number): Promise<number[]> {
    const random = pseudoRandom(seed);
    const answered = ids.map(() => 0);
    for (let losses = 0; losses <= LOSSES; losses++) {
      const isLast = losses === LOSSES;
      const client = await open(at);
      const counts = ids.map(() => 1 + Math.floor((random() + 1) * 3));
      for (const [k, session] of ids.entries()) {
        for (let n = answered[k]!; n < answered[k]! + counts[k]!; n++) {
          client.send({ session, x: [[(n % 7) - 3]], id: `${k}/${n}`, ...(withKeys && { key: `s-${n}`, ...(n > answered[k]! && { if_match: 'previous' }) }) });
        }
      }
      const loss = isLast ? undefined : sleep((random() + 1) * 8).then(() => client.socket.terminate());
      let missing = counts.reduce((sum, count) => sum + count, 0);
      const targets = answered.map((n, k) => n + counts[k]!);
      try {
        while (missing > 0) {
          const { id, error } = await client.nextJson();
          const [k, n] = String(id).split('/').map(Number) as [number, number];
          // The first attempt of this message is still running, on the connection that was lost; those behind it wait for it.
          if (error) expect(error.code).toMatch(/^(idempotency_key_in_use|step_conflict)$/);
          else if (n === answered[k]) answered[k] = n + 1;
          missing--;
        }
      } catch (error) {
        if (!String(error).includes('closed with')) throw error;
      }
      await loss;
      client.socket.terminate();
      if (isLast && answered.some((n, k) => n < targets[k]!)) losses--;
    }
    return answered;
  }

  test('with keys no step is lost and none counts twice', async () => {
    const store = new SlowStore(1e9);
    const slow = await listen({}, { store });
    const ids = await Promise.all(Array.from({ length: SESSIONS }, () => slow.create()));
    store.delayMs = 1;
    const counts = await drive(slow, ids, true, 1);
    store.delayMs = 0;
    for (const [k, id] of ids.entries()) {
      // Of the last messages before a loss it is not known how many were applied.
      const { t } = await slow.read(id);
      expect(t).toBeGreaterThanOrEqual(counts[k]!);
      const x = Array.from({ length: t }, (_, n) => [[(n % 7) - 3]]);
      const { h } = (await slow.app.post('/v1/sequence', { weights: { W_x: [[0.5, -0.25]], W_h: [[0.1, 0.2], [-0.3, 0.4]], b: [0.01, -0.02] }, x, outputs: ['h'] })).body;
      expect((await slow.read(id)).h).toEqual(h);
    }
  });

  test('control: without keys steps count twice', async () => {
    const store = new SlowStore(1e9);
    const slow = await listen({}, { store });
    const ids = await Promise.all(Array.from({ length: SESSIONS }, () => slow.create()));
    store.delayMs = 1;
    const counts = await drive(slow, ids, false, 1);
    store.delayMs = 0;
    const ts = await Promise.all(ids.map(async (id) => (await slow.read(id)).t as number));
    expect(ts).not.toEqual(counts);
    expect(ts.some((t, k) => t > counts[k]!)).toBe(true);
  });
});
