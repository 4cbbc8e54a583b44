// Two processes on one store: of changes that follow the same version one is committed, and a stale cache
// never leads to a wrong answer.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { beforeEach, describe, expect, test } from 'vitest';
import { type Session, etagOf } from '../../src/sessions/session.ts';
import type { Sessions } from '../../src/sessions/sessions.ts';
import { lifetimeOf } from '../helpers/lifetime.ts';
import { SPEC, SharedStore, callOf, codeOf, keyedCall, sessionsOn, step as stepOf } from './setup.ts';

/** h and c of an LSTM with H = 2, and h of a layer with H = 3. */
const LAYERS = {
  ...SPEC,
  H: 3,
  states: [{ H: 2, hasC: true }, { H: 3, hasC: false }],
  state: new Float32Array(2 + 3 + 2),
};

describe.each([['one h', SPEC], ['h and c of layers', LAYERS]])('two replicas of sessions with %s', (_, spec) => {
  let nowMs = 0;
  let store: SharedStore;
  let replicas: [Sessions, Sessions];
  let id: string;

  beforeEach(async () => {
    store = new SharedStore(1e9);
    nowMs = 0;
    const options = { now: () => nowMs };
    replicas = [await sessionsOn(store, options), await sessionsOn(store, options)];
    ({ id } = await replicas[0].create({ ...spec, keep: 2, ttlMs: 100 }));
  });

  /** Adds 1 to every number, so each counts how often a step was applied. */
  const step = async (sessions: Sessions, call = callOf()) => {
    const { value, replayed } = await stepOf(sessions, id, call, async ({ state }) => {
      await Promise.resolve();
      return state.map((number) => number + 1);
    });
    return { value: countOf(value), replayed };
  };

  test('two replicas race without losing a step or applying one twice', async () => {
    const values: number[] = [];
    const client = async (sessions: Sessions) => {
      for (let k = 0; k < 50; k++) values.push((await step(sessions)).value);
    };
    await Promise.all([0, 1, 0, 1, 0, 1, 0, 1].map((k) => client(replicas[k]!)));
    expect(values.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 400 }, (_, k) => k + 1));
    expect((await replicas[1].read(id)).version).toBe(400);
  });

  test('a repeated key is answered on either side, also at the same time', async () => {
    expect(await step(replicas[0], keyedCall('a'))).toEqual({ value: 1, replayed: false });
    expect(await step(replicas[1], keyedCall('a'))).toEqual({ value: 1, replayed: true });
    const both = await Promise.all(replicas.map((replica) => step(replica, keyedCall('b'))));
    expect(both.map(({ value }) => value)).toEqual([2, 2]);
    expect(both.filter(({ replayed }) => replayed)).toHaveLength(1);
  });

  test('an If-Match is not refused because of a stale cache', async () => {
    await step(replicas[1]);
    await step(replicas[0]);
    const etag = etagOf(await replicas[0].read(id));
    expect((await step(replicas[1], callOf({ ifMatch: [etag] }))).value).toBe(3);
    expect(await codeOf(step(replicas[0], callOf({ ifMatch: [etag] })))).toBe('step_conflict');
  });

  test('reads return what was committed last, not what is cached', async () => {
    await step(replicas[1]);
    await step(replicas[0]);
    expect((await replicas[1].read(id)).version).toBe(2);
  });

  test('a session that lives on at the other replica does not expire', async () => {
    await step(replicas[1]);
    nowMs = 90;
    await step(replicas[0]);
    nowMs = 150;
    expect((await step(replicas[1])).value).toBe(3);
    await replicas[0].sweep(10);
    await replicas[1].sweep(10);
    expect((await step(replicas[0])).value).toBe(4);
  });

  test('a sweep continues after a record that is damaged', async () => {
    const damaged = { head: new Uint8Array([1, 2, 3]), slots: new Map() };
    await store.create('damaged', damaged, 1, SPEC.modelId);
    nowMs = 200;
    await replicas[0].sweep(10);
    expect(await codeOf(replicas[0].read(id))).toBe('session_gone');
    expect(await codeOf(replicas[0].read('damaged'))).toBe('session_corrupt');
    expect(await store.due(nowMs, 10)).toEqual([]);
  });

  test('a session that was ended by the other replica is seen as ended', async () => {
    await step(replicas[1]);
    await replicas[0].delete(id, callOf());
    expect(await codeOf(step(replicas[1]))).toBe('session_gone');
    expect(await codeOf(replicas[1].read(id))).toBe('session_gone');
  });

  test('forks and rewinds use the state of the other replica', async () => {
    await step(replicas[1]);
    await step(replicas[0]);
    await step(replicas[0]);
    const reply = (session: Session) => ({ status: 200, headers: {}, body: `${countOf(session)}` });
    expect((await replicas[1].fork(id, callOf(), reply)).value.body).toBe('3');
    expect((await replicas[1].rewind(id, callOf(), 2, reply)).value.body).toBe('2');
  });

  test('a key of another kind of call is not taken for a repetition of this one', async () => {
    const reply = (session: Session) => ({ status: 201, headers: {}, body: session.id });
    const set = (key: string) =>
      replicas[1].setState(id, keyedCall(key), async () => ({ state: spec.state.map(() => 9), t: 9 }), reply);
    await step(replicas[0], keyedCall('stepped'));
    await set('set');
    expect(await codeOf(set('stepped'))).toBe('idempotency_key_reused');
    expect(await codeOf(replicas[0].fork(id, keyedCall('stepped'), reply))).toBe('idempotency_key_reused');
    expect(await codeOf(step(replicas[0], keyedCall('set')))).toBe('idempotency_key_reused');
    expect(await replicas[0].read(id)).toMatchObject({ version: 2, t: 9 });
  });

  test('the outcome of a commit that takes longer than the deadline is unknown', async () => {
    const late = step(replicas[0], callOf({ lifetime: lifetimeOf(30) }));
    const change = store.change.bind(store);
    const { promise: release, resolve } = Promise.withResolvers<void>();
    store.change = async (...args) => {
      await release;
      return change(...args);
    };
    await expect(late).rejects.toMatchObject({ code: 'deadline_exceeded', applied: 'unknown' });
    store.change = change;
    resolve();
    await nextTurn();
    expect((await replicas[0].read(id)).t).toBe(1);
    // The next step goes on from what the store has.
    await step(replicas[0]);
    expect((await replicas[0].read(id)).t).toBe(2);
  });

  test('a fork whose connection was lost before its key was kept is found again', async () => {
    const reply = (session: Session) => ({ status: 201, headers: {}, body: session.id });
    const interrupted = keyedCall('f');
    // The client is connected when the fork is made, and not when it is to be committed.
    const leave = (session: Session) => {
      interrupted.lifetime.close();
      return reply(session);
    };
    expect(await codeOf(replicas[0].fork(id, interrupted, leave))).toBe('client_closed');
    await step(replicas[1]);
    const first = await replicas[1].fork(id, keyedCall('f'), reply);
    const second = await replicas[0].fork(id, keyedCall('f'), reply);
    expect(second).toEqual({ value: first.value, replayed: true });
    expect(countOf(await replicas[0].read(first.value.body))).toBe(0);
    expect((await replicas[0].list(undefined, 10)).sessions).toHaveLength(2);
  });
});

/** How many steps a state has, by all of its numbers. */
function countOf({ state }: Session): number {
  expect(new Set(state).size).toBe(1);
  return state[0]!;
}
