// session.stream(): steps over a WebSocket that are sent ahead of their answers.
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { Carryover, CarryoverError, type Session, type SessionStep, Tensor } from '../../src/client/index.ts';
import { startFaultProxy } from '../helpers/fault-proxy.ts';
import { sample } from '../helpers/long.ts';
import { eventually } from '../helpers/raw-client.ts';
import { type TestService, startService } from './service.ts';

const WEIGHTS = { W_x: [[0.5]], W_h: [[0.8]] };
const xs = Array.from({ length: 200 }, (_, t) => [[Math.cos(t)]]);

let service: TestService;
let carryover: Carryover;
let expected: number[][];
beforeAll(async () => {
  service = await startService();
  carryover = service.client();
  await carryover.models.register({ weights: WEIGHTS, readout: { W_y: [[2]] } }, { name: 'm' });
  const { hs, ys } = await carryover.sequence({ model: 'm', x: xs });
  expected = xs.map((_, t) => [hs!.data[t]!, ys!.data[t]!]);
});

const numbersOf = ({ h, y }: SessionStep) => [(h as Tensor).data[0], y!.data[0]];
const errorOf = (promise: Promise<unknown>) => promise.then(() => expect.unreachable(), (error: unknown) => error as CarryoverError);

/** Inputs, of which it is noted how many were read. */
function* countedInputs(count: { read: number }) {
  for (const x of xs) {
    count.read++;
    yield x;
  }
}

describe('a stream', () => {
  test.each(sample([1, 7, 64], 1))('with a window of %i has the bits of a sequence, of any inputs', async (window) => {
    async function* slowly() {
      for (const [t, x] of xs.entries()) {
        if (t % 50 === 0) await sleep(1);
        yield t % 2 === 0 ? x : Tensor.from(x);
      }
    }
    for (const inputs of [xs, slowly()]) {
      const session = await carryover.sessions.create({ model: 'm' });
      const steps = await Array.fromAsync(session.stream(inputs, { window }));
      expect(steps.map(numbersOf)).toEqual(expected);
      expect(steps.map(({ session: { t } }) => t)).toEqual(xs.map((_, t) => t + 1));
      expect(session.t).toBe(xs.length);
      expect(await session.read()).toMatchObject({ t: xs.length, digest: session.digest });
    }
  });

  test('of no inputs has no steps, and needs no service', async () => {
    const session = await carryover.sessions.create({ model: 'm' });
    expect(await Array.fromAsync(session.stream([]))).toEqual([]);
  });

  test('goes on where steps and other streams have ended, and they where it has', async () => {
    const session = await carryover.sessions.create({ model: 'm' });
    const parts: SessionStep[] = [await session.step(xs[0]!)];
    parts.push(...(await Array.fromAsync(session.stream(xs.slice(1, 20)))));
    parts.push(await session.step(xs[20]!));
    parts.push(...(await Array.fromAsync(session.stream(xs.slice(21)))));
    expect(parts.map(numbersOf)).toEqual(expected);
  });

  test('reads inputs only as its results are taken', async () => {
    const session = await carryover.sessions.create({ model: 'm' });
    const count = { read: 0 };
    let taken = 0;
    for await (const _ of session.stream(countedInputs(count), { window: 5 })) {
      taken++;
      if (taken % 40 === 0) await sleep(20);
      expect(count.read).toBeLessThanOrEqual(taken + 5);
    }
    expect(count.read).toBe(xs.length);
  });

  test.each([0, 65, 1.5])('refuses a window of %d', async (window) => {
    const session = await carryover.sessions.create({ model: 'm' });
    expect(await errorOf(session.stream(xs, { window }).next())).toBeInstanceOf(RangeError);
    expect((await session.step(xs[0]!)).session.t).toBe(1);
  });
});

describe('a stream that ends early', () => {
  test('knows where the session is: what was sent ahead counts, nothing else', async () => {
    const session = await carryover.sessions.create({ model: 'm' });
    const count = { read: 0 };
    let taken = 0;
    for await (const _ of session.stream(countedInputs(count), { window: 8 })) if (++taken === 10) break;
    expect(session.t).toBe(count.read);
    expect(session.t).toBeGreaterThanOrEqual(10);
    expect(session.t).toBeLessThanOrEqual(18);
    const { t } = session;
    expect(numbersOf(await session.step(xs[t]!))).toEqual(expected[t]);
  });

  test('by a signal ends at once with its reason, also in the middle of a wait', async () => {
    const session = await carryover.sessions.create({ model: 'm' });
    const controller = new AbortController();
    async function* endless() {
      yield* xs.slice(0, 3);
      await new Promise(() => undefined);
    }
    const taken: number[] = [];
    const all = (async () => {
      for await (const { session: { t } } of session.stream(endless(), { signal: controller.signal })) taken.push(t);
    })();
    await eventually(() => taken.length === 3);
    const reason = new Error('enough');
    controller.abort(reason);
    expect(await errorOf(all)).toBe(reason);
    expect((await session.step(xs[3]!)).session.t).toBe(4);
  });

  test('by an error of the inputs, which comes behind the results of those before', async () => {
    const session = await carryover.sessions.create({ model: 'm' });
    function* failing() {
      yield* xs.slice(0, 5);
      throw new Error('no more');
    }
    const taken: SessionStep[] = [];
    const error = await errorOf((async () => {
      for await (const step of session.stream(failing())) taken.push(step);
    })());
    expect(error.message).toBe('no more');
    expect(taken.map(numbersOf)).toEqual(expected.slice(0, 5));
    expect(session.t).toBe(5);
  });

  test('by an input that is no tensor, and by inputs that are none: what gives them is told', async () => {
    const session = await carryover.sessions.create({ model: 'm' });
    let isEnded = false;
    function* ragged() {
      try {
        yield* xs.slice(0, 2);
        yield [[1, 2], [3]];
      } finally {
        isEnded = true;
      }
    }
    expect(await errorOf(Array.fromAsync(session.stream(ragged())))).toBeInstanceOf(RangeError);
    expect([session.t, isEnded]).toEqual([2, true]);
    expect(await errorOf(Array.fromAsync(session.stream(5 as never)))).toBeInstanceOf(TypeError);
    expect((await session.step(xs[2]!)).session.t).toBe(3);
  });

  test('by a refused input: none behind it counts', async () => {
    const session = await carryover.sessions.create({ model: 'm' });
    const wrong = [...xs.slice(0, 5), [[1, 2]], ...xs.slice(5, 30)];
    const taken: SessionStep[] = [];
    const error = await errorOf((async () => {
      for await (const step of session.stream(wrong)) taken.push(step);
    })());
    expect(error).toMatchObject({ code: 'shape_mismatch', applied: 'no' });
    expect(taken.map(numbersOf)).toEqual(expected.slice(0, 5));
    await sleep(20);
    expect((await session.read()).t).toBe(5);
    const rest = await Array.fromAsync(session.stream(xs.slice(5)));
    expect(rest.map(numbersOf)).toEqual(expected.slice(5));
  });
});

describe('while a session is streaming', () => {
  let session: Session;
  beforeAll(async () => {
    session = await carryover.sessions.create({ model: 'm' });
  });

  test('other calls are refused, and do not wait for ever; it can be read', async () => {
    for await (const _ of session.stream(xs.slice(0, 2), { window: 1 })) {
      await expect(session.step(xs[0]!)).rejects.toThrow('The session is streaming');
      await expect(session.stream(xs).next()).rejects.toThrow('The session is streaming');
      expect(await session.read()).toMatchObject({ id: session.id });
    }
    expect((await session.step(xs[2]!)).session.t).toBe(3);
  });

  test('a change by another client is noticed', async () => {
    const other = await carryover.sessions.open(session.id);
    await session.read();
    const error = await errorOf((async () => {
      for await (const { session: { t } } of session.stream(xs, { window: 1 })) {
        if (t === 10) await (await carryover.sessions.open(session.id)).step([[1]]);
      }
    })());
    expect(error).toMatchObject({ code: 'step_conflict', applied: 'no' });
    expect(error.message).toContain('read() the session');
    // Before its first step, too.
    await other.read();
    await session.read();
    await other.step([[1]]);
    expect(await errorOf(session.stream(xs).next())).toMatchObject({ code: 'step_conflict', applied: 'no' });
  });

  test('a deletion by another client is noticed, also before the first connection', async () => {
    const doomed = await carryover.sessions.create({ model: 'm' });
    const error = await errorOf((async () => {
      for await (const { session: { t } } of doomed.stream(xs, { window: 1 })) {
        if (t === 3) await (await carryover.sessions.open(doomed.id)).delete();
      }
    })());
    expect(error).toMatchObject({ code: 'session_gone', status: 410 });
    expect(await errorOf(doomed.stream(xs).next())).toMatchObject({ code: 'session_gone', status: 410 });
  });
});

describe('where WebSockets are not to be had', () => {
  /** Never gets through a handshake, as one that is answered with 426. */
  class Refused extends EventTarget {
    static count = 0;
    readonly binaryType = 'arraybuffer';
    constructor() {
      super();
      Refused.count++;
      setTimeout(() => this.dispatchEvent(new Event('error')));
    }
    close(): void {}
  }

  test('steps are sent by POST, with the same results', async () => {
    for (const WebSocket of [null, Refused as unknown as typeof globalThis.WebSocket]) {
      const client = service.client({ WebSocket });
      for (let i = 0; i < 2; i++) {
        const session = await client.sessions.create({ model: 'm' });
        const steps = await Array.fromAsync(session.stream(xs.slice(0, 20), { window: 3 }));
        expect(steps.map(numbersOf)).toEqual(expected.slice(0, 20));
        expect(session.t).toBe(20);
      }
    }
    // It is remembered.
    expect(Refused.count).toBe(4);
  });

  test('an error is that of the step', async () => {
    const session = await service.client({ WebSocket: null }).sessions.create({ model: 'm' });
    const taken: SessionStep[] = [];
    const error = await errorOf((async () => {
      for await (const step of session.stream([xs[0]!, [[1, 2]], xs[1]!])) taken.push(step);
    })());
    expect(error).toMatchObject({ code: 'shape_mismatch', applied: 'no' });
    expect(taken).toHaveLength(1);
    expect(session.t).toBe(1);
  });
});

describe('a connection', () => {
  test('that is silent is given up, and the messages are sent on another one', async () => {
    const proxy = await startFaultProxy(Number(new URL(service.url).port));
    const client = new Carryover(`http://127.0.0.1:${proxy.port}`, { retry: { attemptMs: 250, delayMs: 5 } });
    const session = await client.sessions.create({ model: 'm' });
    let requests = 0;
    proxy.choose = () => (++requests === 5 ? 'mute' : requests === 30 ? 'blackhole' : undefined);
    const steps = await Array.fromAsync(session.stream(xs, { window: 4 }));
    expect(proxy.counts).toMatchObject({ mute: 1, blackhole: 1 });
    expect(steps.map(numbersOf)).toEqual(expected);
    await proxy.close();
  });

  test('is tried again as long as ever, however long the inputs take', async () => {
    const proxy = await startFaultProxy(Number(new URL(service.url).port));
    const client = new Carryover(`http://127.0.0.1:${proxy.port}`, { retry: { giveUpMs: 300, delayMs: 5 } });
    const session = await client.sessions.create({ model: 'm' });
    async function* late() {
      for (const x of xs.slice(0, 3)) {
        await sleep(400);
        let cuts = 2;
        proxy.choose = (request) => (request.includes('/stream') && cuts-- > 0 ? 'closed before' : undefined);
        yield x;
        // While nothing is sent, too.
        await proxy.refuse();
        await proxy.open();
      }
    }
    const steps = await Array.fromAsync(session.stream(late()));
    expect(steps.map(numbersOf)).toEqual(expected.slice(0, 3));
    expect(proxy.counts['closed before']).toBeGreaterThan(2);
    await proxy.close();
  });

  test('that cannot be made is tried until the time is over, and the session stays as it was', async () => {
    const proxy = await startFaultProxy(Number(new URL(service.url).port));
    const client = new Carryover(`http://127.0.0.1:${proxy.port}`, { retry: { delayMs: 5, giveUpMs: 200 } });
    const session = await client.sessions.create({ model: 'm' });
    await proxy.refuse();
    const startMs = performance.now();
    expect(await errorOf(session.stream(xs).next())).toMatchObject({ code: 'no_answer' });
    expect(performance.now() - startMs).toBeLessThan(5_000);
    await proxy.open();
    expect((await session.step(xs[0]!)).session.t).toBe(1);
    await proxy.close();
  });

  test('is not kept open behind the end of a stream', async () => {
    const session = await carryover.sessions.create({ model: 'm' });
    const connections = () => service.app.http.websocketServer.clients.size;
    await eventually(() => connections() === 0);
    for await (const { session: { t } } of session.stream(xs)) if (t === 5) expect(connections()).toBe(1);
    await eventually(() => connections() === 0);
  });
});
