// carryover.stream(): items of many sessions over one WebSocket, each exactly once and in the order of its session, whatever
// happens to the connection and to other items.
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { Carryover, CarryoverError, type CarryoverOptions, type Session, type StreamItem, type StreamResult, Tensor } from '../../src/client/index.ts';
import { sized } from '../helpers/long.ts';
import { startLossyProxy } from '../helpers/lossy-proxy.ts';
import { SEED } from '../helpers/seed.ts';
import { type TestService, startService } from './service.ts';

const STEPS = sized({ short: 300, long: 10_000 });
const LOSSES = sized({ short: 15, long: 300 });
const SESSIONS = 10;
const INPUTS = Array.from({ length: STEPS / SESSIONS }, (_, t) => [[Math.sin(t)]]);

let service: TestService;
let direct: Carryover;
beforeAll(async () => {
  service = await startService();
  direct = service.client();
  await direct.models.register({ layers: [{ type: 'lstm', W_x: [[0.5, -0.25, 1, 2]], W_h: [[0.1, 0.2, -0.3, 0.4]] }] }, { name: 'm' });
});

const newSessions = (count: number, options?: CarryoverOptions) => {
  const client = service.client(options);
  return Promise.all(Array.from({ length: count }, () => client.sessions.create({ model: 'm' })));
};
const bitsOf = (tensor: unknown) => [...(tensor as Tensor).data];
const errorOf = (promise: Promise<unknown>) => promise.then(() => expect.unreachable(), (error: unknown) => error as CarryoverError);
/** One input of each session after the other. */
const interleaved = (sessions: readonly Session[], inputs: readonly number[][][]): StreamItem[] =>
  inputs.flatMap((x) => sessions.map(({ id }) => ({ session: id, x })));
const resultsOf = (results: readonly StreamResult[], { id }: Session) => results.filter(({ item }) => item.session === id);

/** The sessions have taken these inputs, each once. */
async function expectApplied(sessions: readonly Session[], inputs: readonly number[][][]): Promise<void> {
  const { h, c } = await direct.sequence({ model: 'm', x: inputs as number[][][] });
  for (const { id } of sessions) {
    expect(await (await direct.sessions.open(id)).read()).toMatchObject({ t: inputs.length, version: inputs.length, h, c });
  }
}

/** A WebSocket whose service refuses the first attempt of each third message. */
class BusyWebSocket extends WebSocket {
  static readonly refused = new Set<string>();

  override send(data: Uint8Array<ArrayBuffer>): void {
    const [, id] = /"id":"(\d+)"/.exec(Buffer.from(data).toString('latin1'))!;
    if (Number(id) % 3 > 0 || BusyWebSocket.refused.has(id!)) return super.send(data);
    BusyWebSocket.refused.add(id!);
    const error = { type: '/problems#queue_full', title: 'busy', status: 503, detail: 'It is busy.', code: 'queue_full', applied: 'no', errors: [] };
    queueMicrotask(() => this.dispatchEvent(new MessageEvent('message', { data: JSON.stringify({ id, error }) })));
  }
}

describe('a stream of items', () => {
  test('steps and sequences of several sessions are answered as the calls by themselves are', async () => {
    const [sessions, mirrors] = [await newSessions(2), await newSessions(2)];
    const items: StreamItem[] = [
      { session: sessions[0]!.id, x: [[1]] },
      { session: sessions[1]!.id, x: new Tensor([1, 1], new Float32Array([0.5])) },
      { session: sessions[0]!.id, x: [[[0.25]], [[-1]]], outputs: ['h'] },
      { session: sessions[1]!.id, x: [[2]], key: 'mine' },
    ];
    const results = await Array.fromAsync(direct.stream(items));
    const expected = [
      await mirrors[0]!.step([[1]]),
      await mirrors[1]!.step([[0.5]]),
      await mirrors[0]!.sequence([[[0.25]], [[-1]]], { outputs: ['h'] }),
      await mirrors[1]!.step([[2]]),
    ];
    for (const [k, item] of items.entries()) {
      const { session: { digest }, ...tensors } = expected[k]!;
      expect(results.find((result) => result.item === item)).toMatchObject({ ...tensors, status: 200, applied: 'yes', replayed: false, session: { id: item.session, digest } });
    }
    const [again] = await Array.fromAsync(direct.stream([items[3]!]));
    expect(again).toMatchObject({ replayed: true, session: { t: 2 } });
  });

  test.each<[string, CarryoverOptions]>([
    ['over a WebSocket', {}],
    ['whose service is busy now and then', { WebSocket: BusyWebSocket }],
    ['without WebSockets', { WebSocket: null }],
  ])('%s, the results of a session come in its order, and each item counts once', async (_, options) => {
    const sessions = await newSessions(5);
    const inputs = INPUTS.slice(0, 20);
    const results = await Array.fromAsync(service.client(options).stream(interleaved(sessions, inputs), { window: 16 }));
    for (const session of sessions) {
      expect(resultsOf(results, session).map((result) => result.session!.t)).toEqual(inputs.map((__, t) => t + 1));
    }
    await expectApplied(sessions, inputs);
  });

  test('reads items only as its results are taken', async () => {
    const sessions = await newSessions(3);
    let read = 0;
    async function* items() {
      for (const item of interleaved(sessions, INPUTS.slice(0, 20))) {
        read++;
        yield item;
      }
    }
    let taken = 0;
    for await (const _ of direct.stream(items(), { window: 7 })) {
      taken++;
      if (taken % 20 === 0) await sleep(10);
      expect(read).toBeLessThanOrEqual(taken + 7);
    }
    expect(taken).toBe(60);
  });

  test('behind an item that has failed none of its session counts, until one says for which state it is', async () => {
    const sessions = await newSessions(2);
    const [broken, other] = sessions.map(({ id }) => id);
    async function* items(): AsyncGenerator<StreamItem> {
      yield { session: broken!, x: [[1]] };
      yield { session: broken!, x: [[1, 2]] };
      for (let k = 0; k < 3; k++) yield { session: broken!, x: [[1]] };
      yield { session: other!, x: [[1]] };
      const response = await fetch(`${service.url}/v1/sessions/${broken}`);
      yield { session: broken!, x: [[1]], ifMatch: response.headers.get('etag')! };
      yield { session: broken!, x: [[1]] };
    }
    const results = await Array.fromAsync(direct.stream(items(), { window: 4 }));
    const codes = resultsOf(results, sessions[0]!).map(({ error, applied }) => [error?.code, applied]);
    expect(codes).toEqual([
      [undefined, 'yes'],
      ['shape_mismatch', 'no'],
      ...Array.from({ length: 3 }, () => ['step_conflict', 'no']),
      [undefined, 'yes'],
      [undefined, 'yes'],
    ]);
    expect((await direct.sessions.open(broken!)).t).toBe(3);
    expect((await direct.sessions.open(other!)).t).toBe(1);
  });

  test('a change by another client is noticed', async () => {
    const [session] = await newSessions(1);
    async function* items(): AsyncGenerator<StreamItem> {
      yield { session: session!.id, x: [[1]] };
      await sleep(50);
      await (await direct.sessions.open(session!.id)).step([[9]]);
      yield { session: session!.id, x: [[1]] };
    }
    const results = await Array.fromAsync(direct.stream(items()));
    expect(results.map(({ error }) => error?.code)).toEqual([undefined, 'step_conflict']);
    expect((await direct.sessions.open(session!.id)).t).toBe(2);
  });

  test('ended early, what was sent counts, and nothing is applied afterwards', async () => {
    const sessions = await newSessions(4);
    for await (const _ of direct.stream(interleaved(sessions, INPUTS.slice(0, 20)), { window: 8 })) break;
    const places = async () => Promise.all(sessions.map(async ({ id }) => (await direct.sessions.open(id)).t));
    const before = await places();
    expect(before.reduce((sum, t) => sum + t)).toBeLessThanOrEqual(9);
    await sleep(50);
    expect(await places()).toEqual(before);
  });

  test('ends with the reason of a signal', async () => {
    const sessions = await newSessions(1);
    const control = new AbortController();
    const run = async () => {
      for await (const _ of direct.stream(interleaved(sessions, INPUTS), { signal: control.signal })) control.abort(new Error('enough'));
    };
    expect((await errorOf(run())).message).toBe('enough');
  });

  test.each<[string, unknown, RegExp]>([
    ['nothing', null, /^Expected Item 0 to be \{ session, x \}/],
    ['without x', { session: 'a' }, /^Expected x.*Item 0\.x is missing/],
    ['a trace', { session: 'a', x: [[1]], trace: true }, /^Item 0\.trace: a stream has no traces/],
    ['outputs that are no list', { session: 'a', x: [[1]], outputs: 'h' }, /^Expected Item 0\.outputs to be an array/],
    ['a key that is no text', { session: 'a', x: [[1]], key: 5 }, /^Expected Item 0\.key to be a string/],
    ['ragged rows', { session: 'a', x: [[1], [1, 2]] }, /./],
  ])('an item that is %s ends it', async (_, item, message) => {
    await expect(direct.stream([item as StreamItem]).next()).rejects.toThrow(message);
  });

  test.each([0, 257, 1.5])('refuses a window of %d', async (window) => {
    expect(await errorOf(direct.stream([], { window }).next())).toBeInstanceOf(RangeError);
  });

  test('a session that does not exist is the error of its items', async () => {
    const id = 'A'.repeat(22);
    const results = await Array.fromAsync(direct.stream([{ session: id, x: [[1]] }]));
    expect(results).toMatchObject([{ status: 404, error: { code: 'session_not_found' } }]);
  });

  test('of a tenant at its limit goes on over the same connection, as fast as the limit allows', async () => {
    const limited = await startService({ TENANT_REQUESTS_PER_S: '20' });
    const client = limited.client();
    const { id: model } = await client.models.register({ weights: { W_x: [[0.5]], W_h: [[0.8]] } });
    const ids: string[] = [];
    for (let k = 0; k < 10; k++) ids.push((await client.sessions.create({ model })).id);
    let connections = 0;
    class CountedWebSocket extends WebSocket {
      constructor(url: string | URL, protocols?: string | string[]) {
        super(url, protocols);
        connections++;
      }
    }
    const counted = limited.client({ WebSocket: CountedWebSocket });
    const results = await Array.fromAsync(counted.stream([1, 2, 3, 4].flatMap((x) => ids.map((session) => ({ session, x: [[x]] })))));
    expect(results.filter(({ error }) => error)).toEqual([]);
    expect(results).toHaveLength(40);
    expect(connections).toBe(1);
  });

  test.each<[string, CarryoverOptions]>([
    ['over a WebSocket', {}],
    ['without WebSockets', { WebSocket: null }],
  ])('%s, an array may be used again, a key be delivered again, and c be asked for alone', async (_, options) => {
    const client = service.client(options);
    const layers = [{ type: 'gru' as const, W_x: [[1, 1, 1]], W_h: [[0, 0, 0]] }, { type: 'lstm' as const, W_x: [[0.5, -0.25, 1, 2]], W_h: [[0.1, 0.2, -0.3, 0.4]] }];
    const { id: model } = await client.models.register({ layers });
    const session = await client.sessions.create({ model });
    const data = new Float32Array(1);
    function* items(): Generator<StreamItem> {
      for (const [k, key] of ['k1', 'k2', 'k1', 'k3'].entries()) {
        data[0] = k % 2 === 0 && k > 0 ? 1 : k + 1;
        yield { session: session.id, x: new Tensor([1, 1, 1], data), key, outputs: ['c'] };
      }
    }
    const results = await Array.fromAsync(client.stream(items()));
    expect(results.map((result) => [result.session?.t, result.replayed, result.h])).toEqual([[1, false, undefined], [2, false, undefined], [1, true, undefined], [3, false, undefined]]);
    const { c } = await client.sequence({ model, x: [[[1]], [[2]], [[4]]] });
    expect(results[3]!.c).toEqual(c);
  });

  test('an item that is larger than a message may be is answered, too', async () => {
    const { id: model } = await direct.models.register({ weights: { W_x: Array.from({ length: 4096 }, () => [0.01]), W_h: [[0.5]] } });
    const session = await direct.sessions.create({ model, N: 300 });
    const x = new Tensor([300, 4096], new Float32Array(300 * 4096).fill(0.001));
    const results = await Array.fromAsync(direct.stream([1, 2].map(() => ({ session: session.id, x }))));
    expect(results.map((result) => [result.error?.message, result.session?.t])).toEqual([[undefined, 1], [undefined, 2]]);
  });

  test('the time for which it tries does not run while nothing is asked for', async () => {
    const [session] = await newSessions(1);
    let isRefused = true;
    class RefusedOnce extends WebSocket {
      constructor(url: string | URL, protocols?: string | string[]) {
        super(isRefused ? String(url).replace('/v1/stream', '/v1/nothing') : url, protocols);
        isRefused = false;
      }
    }
    async function* items(): AsyncGenerator<StreamItem> {
      await sleep(600);
      yield { session: session!.id, x: [[1]] };
    }
    const client = service.client({ WebSocket: RefusedOnce, retry: { giveUpMs: 300, delayMs: 5 } });
    expect(await Array.fromAsync(client.stream(items()))).toMatchObject([{ applied: 'yes' }]);
  });

  test.each(['carryover.stream()', 'session.stream()'])('%s that is refused after an answer was lost says that what was sent is perhaps applied', async (name) => {
    const [{ id }] = (await newSessions(1)) as [Session];
    let isRevoked = false;
    class LosingWebSocket extends WebSocket {
      constructor(url: string | URL, protocols?: string | string[]) {
        super(isRevoked ? String(url).replace(/stream$/, 'nothing') : url, protocols);
      }

      override send(data: Uint8Array<ArrayBuffer>): void {
        super.send(data);
        isRevoked = true;
        this.close();
      }
    }
    const refusal = { type: '/problems#unauthenticated', title: '', status: 401, detail: 'The key has expired.', code: 'unauthenticated', applied: 'no', errors: [] };
    const revocable: typeof fetch = (url, init) => (isRevoked ? Promise.resolve(Response.json(refusal, { status: 401 })) : fetch(url, init));
    const client = service.client({ WebSocket: LosingWebSocket, fetch: revocable });
    const results = name === 'session.stream()' ? (await client.sessions.open(id)).stream([[[1]]]) : client.stream([{ session: id, x: [[1]] }]);
    expect(await errorOf(results.next())).toMatchObject({ code: 'unauthenticated', applied: 'unknown' });
  });

  test('no service: an error, after the time for which it tries', async () => {
    const away = new Carryover('http://127.0.0.1:9', { retry: { giveUpMs: 50, delayMs: 5 } });
    expect(await errorOf(away.stream([{ session: 'a', x: [[1]] }]).next())).toMatchObject({ code: 'no_answer' });
  });
});

describe('connections that are cut at random', () => {
  const stream = async (retry: CarryoverOptions['retry'], work: (client: Carryover, sessions: readonly Session[]) => Promise<void>) => {
    const sessions = await newSessions(SESSIONS);
    const proxy = await startLossyProxy(service.port, SEED, (8 * LOSSES) / STEPS);
    await work(new Carryover(`http://127.0.0.1:${proxy.port}`, { retry }), sessions);
    await proxy.close();
    console.log(`${STEPS} items, ${proxy.losses} connections lost, SEED=${SEED}`);
    expect(proxy.losses).toBeGreaterThan(LOSSES / 2);
    return sessions;
  };

  test('lose no item and apply none twice', async () => {
    const results: StreamResult[] = [];
    const sessions = await stream({ delayMs: 10, delayMsMax: 200 }, async (client, all) => {
      for await (const result of client.stream(interleaved(all, INPUTS))) results.push(result);
    });
    const { hs } = await direct.sequence({ model: 'm', x: INPUTS });
    for (const session of sessions) {
      const own = resultsOf(results, session);
      expect(own.map((result) => result.session!.t)).toEqual(INPUTS.map((_, t) => t + 1));
      expect(own.flatMap(({ h }) => bitsOf(h))).toEqual(bitsOf(hs));
    }
    await expectApplied(sessions, INPUTS);
  });

  test('control: a program that repeats by itself what has failed applies items twice', async () => {
    const sessions = await stream(false, async (client, all) => {
      const left = interleaved(all, INPUTS);
      while (left.length > 0) {
        try {
          for await (const { item } of client.stream([...left], { window: SESSIONS })) left.splice(left.indexOf(item), 1);
        } catch (error) {
          expect(error).toBeInstanceOf(CarryoverError);
        }
      }
    });
    const ends = await Promise.all(sessions.map(({ id }) => direct.sessions.open(id)));
    expect(ends.reduce((sum, { t }) => sum + t, 0)).toBeGreaterThan(STEPS);
  });
});
