// A store that loses acknowledged changes (Redis after a crash or a failover) is back at an earlier version and
// takes other changes from there. A version number then does not identify a state.
import { describe, expect, test } from 'vitest';
import { CarryoverError } from '../../src/errors.ts';
import { type Session, etagOf } from '../../src/sessions/session.ts';
import type { Sessions } from '../../src/sessions/sessions.ts';
import type { Revision } from '../../src/store/store.ts';
import { LosingStore } from './losing-store.ts';
import { SPEC as BASE_SPEC, callOf, codeOf, keyedCall, sessionsOn, step } from './setup.ts';

const SPEC = { ...BASE_SPEC, keep: 2 };

/** Two replicas, A and B, on one store that was saved when the session was new. */
async function setUp(revisionAfter?: (before: Revision | undefined) => Revision) {
  const store = new LosingStore(revisionAfter);
  const [a, b] = [await sessionsOn(store), await sessionsOn(store)];
  const { id } = await a.create(SPEC);
  store.save();
  /** h ← h + x; answers with the ETag. */
  const add = async (sessions: Sessions, x: number, call = callOf()) => {
    const { value } = await step(sessions, id, call, ({ state }) => Float32Array.of(state[0]! + x));
    return etagOf(value);
  };
  const state = async (sessions: Sessions) => (await sessions.read(id)).state[0];
  return { store, a, b, id, add, state };
}

/** A steps twice, the store loses both changes, B steps twice: both were answered with version 2. */
async function twoPasts(revisionAfter?: (before: Revision | undefined) => Revision) {
  const all = await setUp(revisionAfter);
  const { store, a, b, add } = all;
  await add(a, 1);
  const etagOfA = await add(a, 1);
  store.restore();
  await add(b, 100);
  const etagOfB = await add(b, 100);
  return { ...all, etagOfA, etagOfB };
}

describe('after the store has lost changes', () => {
  test('an ETag of a lost state matches nothing, and nothing is overwritten', async () => {
    const { a, b, add, state, etagOfA, etagOfB } = await twoPasts();
    expect(etagOfA).not.toBe(etagOfB);
    expect(await codeOf(add(a, 1, callOf({ ifMatch: [etagOfA] })))).toBe('step_conflict');
    expect(await state(b)).toBe(200);
    await add(a, 1, callOf({ ifMatch: [etagOfB] }));
    expect([await state(a), await state(b)]).toEqual([201, 201]);
  });

  test('a step without If-Match continues from the state in the store', async () => {
    const { a, b, add, state } = await twoPasts();
    await add(a, 1);
    expect([await state(a), await state(b)]).toEqual([201, 201]);
  });

  test('control: with counted revisions the cached state overwrites what the other has answered', async () => {
    const count = (before: Revision | undefined) => String(Number(before ?? -1) + 1);
    const { a, b, add, state } = await twoPasts(count);
    await add(a, 1);
    expect(await state(b)).toBe(3);
  });

  test('control: without the nonce a lost state and the stored one have the same ETag', async () => {
    const { etagOfA, etagOfB } = await twoPasts();
    const withoutNonce = (etag: string) => etag.replace(/\.[\w-]+"$/, '"');
    expect(withoutNonce(etagOfA)).toBe(withoutNonce(etagOfB));
  });

  test('an ETag without a nonce matches no state that has one', async () => {
    const { a, id, add } = await setUp();
    const { incarnation, version } = await a.read(id);
    const ifMatch = `"${incarnation}.${version}"`;
    expect(await codeOf(add(a, 1, callOf({ ifMatch: [ifMatch] })))).toBe('step_conflict');
  });

  test('a repeated key is answered again only while the store has it', async () => {
    const { store, a, add, state } = await setUp();
    await add(a, 1, keyedCall('lost'));
    expect(await add(a, 1, keyedCall('lost'))).toBeDefined();
    expect(await state(a)).toBe(1);
    store.restore();
    // The cached session still has the answer, but the store has lost the state it belongs to.
    await add(a, 1, keyedCall('lost'));
    expect(await state(a)).toBe(1);
  });

  test('a key that was lost is free for another call', async () => {
    const { store, a, add, state } = await setUp();
    await add(a, 1, keyedCall('k'));
    store.restore();
    await add(a, 5, keyedCall('k', 'another body'));
    expect(await state(a)).toBe(5);
  });

  test('reads, forks and rewinds use the state in the store', async () => {
    const { store, a, id, add, state } = await setUp();
    await add(a, 1);
    store.restore();
    const reply = ({ state }: Session) => ({ status: 200, headers: {}, body: `${state[0]}` });
    expect(await state(a)).toBe(0);
    expect((await a.fork(id, callOf(), reply)).value.body).toBe('0');
    expect(await codeOf(a.rewind(id, callOf(), 0, reply))).toBe('state_not_kept');
  });

  test('a fork that waits for the lock is made of the state in the store at that time', async () => {
    const { store, a, id, add } = await setUp();
    const { promise: gate, reject } = Promise.withResolvers<never>();
    const first = add(a, 1);
    const second = step(a, id, callOf(), () => gate);
    const fork = a.fork(id, callOf(), ({ state }) => ({ status: 201, headers: {}, body: `${state[0]}` }));
    await first;
    store.restore();
    reject(new Error('the second step fails'));
    await expect(second).rejects.toThrow('second step');
    expect((await fork).value.body).toBe('0');
  });

  test('another session of the same id, made by the same key, is independent of the lost one', async () => {
    const { store, a, b } = await setUp();
    const key = { key: 'k', digest: 'k' };
    const reply = ({ id }: Session) => ({ status: 201, headers: {}, body: id });
    const { body: id } = (await a.createOnce(SPEC, key, reply)).value;
    const stepOfTwoRows = (sessions: Sessions) =>
      step(sessions, id, callOf(), ({ N, state: h }) => {
        if (N !== 2) throw new CarryoverError('shape_mismatch', { detail: 'expected N = 1' });
        return h;
      });
    expect(await codeOf(stepOfTwoRows(a))).toBe('shape_mismatch');
    store.restore();
    await b.createOnce({ ...SPEC, N: 2, state: new Float32Array(2) }, key, reply);
    expect((await stepOfTwoRows(a)).value.N).toBe(2);
  });
});
