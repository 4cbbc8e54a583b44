// Two processes on one store: of changes that follow the same version one wins, and what a replica
// remembers of a session never makes it answer wrongly.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { beforeEach, describe, expect, test } from 'vitest';
import type { Session } from '../../src/sessions/session.ts';
import { etagOf, advanced } from '../../src/sessions/session.ts';
import type { Call } from '../../src/sessions/call.ts';
import { Sessions } from '../../src/sessions/sessions.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import type { CarryoverError } from '../../src/errors.ts';
import { advance } from '../helpers/advance.ts';
import { lifetimeOf } from '../helpers/lifetime.ts';

const MODEL = { id: 'sha256:m', file: new Uint8Array(), createdAtMs: 0, isKept: true };
const OPTIONS = {
  countMax: 100,
  cacheBytesMax: 1e6,
  waitingMax: 64,
  tombstoneMs: 1_000,
  numerics: 1,
};

class SharedStore extends MemoryStore {
  override readonly isShared = true;
}

let nowMs = 0;
let store: SharedStore;
let replicas: [Sessions, Sessions];
let id: string;

beforeEach(async () => {
  store = new SharedStore(1e9);
  await store.models.put(MODEL);
  nowMs = 0;
  const options = { ...OPTIONS, now: () => nowMs };
  replicas = [new Sessions(store, options), new Sessions(store, options)];
  const spec = { modelId: MODEL.id, N: 1, D: 1, H: 1, keep: 2, ttlMs: 100, h: new Float32Array(1) };
  ({ id } = await replicas[0].create(spec));
});

const call = (more: Partial<Call> = {}): Call => ({ lifetime: lifetimeOf(), ...more });
const keyed = (key: string) => call({ key: { key, digest: key } });

/** h ← h + 1: how often it was applied can be read off the state. */
const step = (sessions: Sessions, of: Call = call()) =>
  advance(sessions, id, of, async (session: Session, stamp) => {
    await Promise.resolve();
    const h = Float32Array.of(session.h[0]! + 1);
    const after = advanced(session, { h, t: session.t + 1 }, stamp());
    return { after, value: after.h[0]! };
  });

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: CarryoverError) => error.code,
  );

describe('two replicas', () => {
  test('race without losing or doubling a step', async () => {
    const values: number[] = [];
    const client = async (sessions: Sessions) => {
      for (let k = 0; k < 50; k++) values.push((await step(sessions)).value);
    };
    await Promise.all([0, 1, 0, 1, 0, 1, 0, 1].map((k) => client(replicas[k]!)));
    expect(values.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 400 }, (_, k) => k + 1));
    expect((await replicas[1].read(id)).version).toBe(400);
  });

  test('answer a repeated key on either side, also at the same time', async () => {
    expect(await step(replicas[0], keyed('a'))).toEqual({ value: 1, replayed: false });
    expect(await step(replicas[1], keyed('a'))).toEqual({ value: 1, replayed: true });
    const both = await Promise.all(replicas.map((replica) => step(replica, keyed('b'))));
    expect(both.map(({ value }) => value)).toEqual([2, 2]);
    expect(both.filter(({ replayed }) => replayed)).toHaveLength(1);
  });

  test('do not refuse an If-Match because of what they remember', async () => {
    await step(replicas[1]);
    await step(replicas[0]);
    const etag = etagOf(await replicas[0].read(id));
    expect((await step(replicas[1], call({ ifMatch: [etag] }))).value).toBe(3);
    expect(await codeOf(step(replicas[0], call({ ifMatch: [etag] })))).toBe('step_conflict');
  });

  test('read what was committed last, not what they remember', async () => {
    await step(replicas[1]);
    await step(replicas[0]);
    expect((await replicas[1].read(id)).version).toBe(2);
  });

  test('do not let a session expire that lives on at the other one', async () => {
    await step(replicas[1]);
    nowMs = 90;
    await step(replicas[0]);
    nowMs = 150;
    expect((await step(replicas[1])).value).toBe(3);
    await replicas[0].sweep(10);
    await replicas[1].sweep(10);
    expect((await step(replicas[0])).value).toBe(4);
  });

  test('sweep past a record that is damaged', async () => {
    const damaged = { head: new Uint8Array([1, 2, 3]), slots: new Map() };
    await store.create('damaged', damaged, 1, MODEL.id);
    nowMs = 200;
    await replicas[0].sweep(10);
    expect(await codeOf(replicas[0].read(id))).toBe('session_gone');
    expect(await codeOf(replicas[0].read('damaged'))).toBe('session_corrupt');
    expect(await store.due(nowMs, 10)).toEqual([]);
  });

  test('see a session that was ended by the other one', async () => {
    await step(replicas[1]);
    await replicas[0].delete(id, call());
    expect(await codeOf(step(replicas[1]))).toBe('session_gone');
    expect(await codeOf(replicas[1].read(id))).toBe('session_gone');
  });

  test('fork and rewind what the other one has made of it', async () => {
    await step(replicas[1]);
    await step(replicas[0]);
    await step(replicas[0]);
    const reply = (session: Session) => ({ status: 200, headers: {}, body: `${session.h[0]}` });
    expect((await replicas[1].fork(id, call(), reply)).value.body).toBe('3');
    expect((await replicas[1].rewind(id, call(), 2, reply)).value.body).toBe('2');
  });

  test('take a key of another kind of call for no repetition of this one', async () => {
    const reply = (session: Session) => ({ status: 201, headers: {}, body: session.id });
    const set = (key: string) =>
      replicas[1].setState(id, keyed(key), () => ({ h: Float32Array.of(9), t: 9 }), reply);
    await step(replicas[0], keyed('stepped'));
    await set('set');
    expect(await codeOf(set('stepped'))).toBe('idempotency_key_reused');
    expect(await codeOf(replicas[0].fork(id, keyed('stepped'), reply))).toBe('idempotency_key_reused');
    expect(await codeOf(step(replicas[0], keyed('set')))).toBe('idempotency_key_reused');
    expect(await replicas[0].read(id)).toMatchObject({ version: 2, t: 9 });
  });

  test('a commit that takes longer than the deadline leaves open what became of it', async () => {
    const late = step(replicas[0], call({ lifetime: lifetimeOf(30) }));
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

  test('a fork that was cut off before its key was kept is found again', async () => {
    const reply = (session: Session) => ({ status: 201, headers: {}, body: session.id });
    const cutOff = keyed('f');
    // There when the fork is made, gone when it should be committed.
    const leave = (session: Session) => {
      cutOff.lifetime.close();
      return reply(session);
    };
    expect(await codeOf(replicas[0].fork(id, cutOff, leave))).toBe('client_closed');
    await step(replicas[1]);
    const first = await replicas[1].fork(id, keyed('f'), reply);
    const second = await replicas[0].fork(id, keyed('f'), reply);
    expect(second).toEqual({ value: first.value, replayed: true });
    expect((await replicas[0].read(first.value.body)).h[0]).toBe(0);
    expect((await replicas[0].list(undefined, 10)).sessions).toHaveLength(2);
  });
});
