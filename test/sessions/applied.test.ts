// The `applied` of an error is true: "no" only when the call's key was looked up and not found.
import { describe, expect, test } from 'vitest';
import { CarryoverError } from '../../src/errors.ts';
import type { Call } from '../../src/sessions/call.ts';
import { type Session, etagOf } from '../../src/sessions/session.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import { buildApp } from '../helpers/app.ts';
import { SPEC, SharedStore, callOf, keyedCall, sessionsOn, step as stepOf } from './setup.ts';

async function setUp(store = new MemoryStore(1e9)) {
  const sessions = await sessionsOn(store, { waitingMax: 0 });
  const { id } = await sessions.create({ ...SPEC, keep: 1 });
  /** A step whose computation fails with `failure`, if it is given. */
  const step = (call: Partial<Call>, failure?: () => Promise<never>) =>
    stepOf(sessions, id, callOf(call), async ({ t }) => {
      await failure?.();
      return Float32Array.of(t + 1);
    });
  return { id, sessions, step };
}

/** The part of a call that is its key; the lifetime is made by setUp(). */
const key = (name: string, digest = 'a') => ({ key: keyedCall(name, digest).key });

const appliedOf = (call: Promise<unknown>) =>
  call.then(
    () => 'answered',
    (error: CarryoverError) => error.applied,
  );

const refused = async () => {
  throw new CarryoverError('queue_full', { detail: 'full' });
};

describe('a call that is refused while it is computed', () => {
  test('the call was not applied when it had no key, or a new one', async () => {
    const { step } = await setUp();
    expect(await appliedOf(step({}, refused))).toBe('no');
    expect(await appliedOf(step(key('a'), refused))).toBe('no');
  });

  test('the call was applied when its key was answered before', async () => {
    const { step } = await setUp();
    await step(key('a'));
    expect(await appliedOf(step(key('a'), refused))).toBe('yes');
    expect(await appliedOf(step(key('a', 'other body'), refused))).toBe('no');
    expect(await appliedOf(step(key('a')))).toBe('answered');
  });

  test('the call may have been applied when another process shares the store', async () => {
    const { step } = await setUp(new SharedStore(1e9));
    expect(await appliedOf(step({}, refused))).toBe('no');
    expect(await appliedOf(step(key('a'), refused))).toBe('unknown');
    expect(await appliedOf(step({ ...key('a'), ifMatch: ['"other.0"'] }))).toBe('no');
  });

  test('the call may have been applied when so many keys came since that its own is forgotten', async () => {
    const { id, sessions, step } = await setUp();
    const tag = async () => etagOf(await sessions.read(id));
    const first = await tag();
    await step({ ...key('first'), ifMatch: [first] });
    for (let k = 0; k < 10; k++) await step(key(`a${k}`));
    const later = await tag();
    for (let k = 0; k < 60; k++) await step(key(`b${k}`));
    expect(await appliedOf(step(key('first'), refused))).toBe('unknown');
    expect(await appliedOf(step({ ...key('first'), ifMatch: [first] }))).toBe('unknown');
    expect(await appliedOf(step({ ...key('new'), ifMatch: [later] }))).toBe('no');
    expect(await appliedOf(step({ ifMatch: [later] }))).toBe('no');
  });
});

describe('a call that the present state does not allow', () => {
  const reply = ({ t }: Session) => ({ status: 200, headers: {}, body: `${t}` });
  const notFinite = async () => {
    throw new CarryoverError('not_finite', { detail: 'h is infinite' });
  };
  const wrong = async () => {
    throw new CarryoverError('shape_mismatch', { detail: 'x is too wide' });
  };

  test('the call may have been applied to an earlier state, when its key is forgotten', async () => {
    const { id, sessions, step } = await setUp();
    const rewind = (k: string) => appliedOf(sessions.rewind(id, callOf(key(k)), 0, reply));
    await step({});
    expect(await rewind('a')).toBe('answered');
    expect(await rewind('b')).toBe('no');
    expect(await appliedOf(step(key('b'), notFinite))).toBe('no');
    for (let k = 0; k < 64; k++) await step(key(`k${k}`));
    expect(await rewind('a')).toBe('unknown');
    expect(await appliedOf(step(key('b'), notFinite))).toBe('unknown');
    // This call is invalid for every state.
    expect(await appliedOf(step(key('b'), wrong))).toBe('no');
  });

  test('the call may be applied by another process that finds another state', async () => {
    const { id, sessions, step } = await setUp(new SharedStore(1e9));
    const rewind = sessions.rewind(id, callOf(key('a')), 7, reply);
    expect(await appliedOf(rewind)).toBe('unknown');
    expect(await appliedOf(step(key('a'), notFinite))).toBe('unknown');
    expect(await appliedOf(step(key('a'), wrong))).toBe('no');
    expect(await appliedOf(step({}, notFinite))).toBe('no');
  });
});

describe('a call that is refused before its key is looked up', () => {
  test('the call may have been applied: its first attempt is running, or others are', async () => {
    const { step } = await setUp();
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const first = step(key('a'), () => gate as Promise<never>);
    expect(await appliedOf(step(key('a')))).toBe(undefined);
    open();
    await first;
    expect(await appliedOf(step(key('a')))).toBe('answered');
  });

  test('the call may have been applied: the session has ended', async () => {
    const { id, sessions, step } = await setUp();
    await step(key('a'));
    await sessions.delete(id, callOf({}));
    expect(await appliedOf(step(key('a')))).toBe('unknown');
    expect(await appliedOf(step({}))).toBe('no');
  });

  test.each([
    ['too large', 413, { payload: JSON.stringify({ x: Array.from({ length: 500 }, () => [1]) }) }],
    ['not JSON', 400, { payload: '{' }],
    ['compressed', 415, { payload: '{}', headers: { 'content-encoding': 'gzip' } }],
    ['of another type', 415, { payload: 'x', headers: { 'content-type': 'text/plain' } }],
    ['not what the schema says', 400, { payload: '{"session":"abc","y":1}' }],
    ['of no session that is there', 404, { payload: '{"session":"abc","x":[[1]]}' }],
  ])('the call may have been applied, over HTTP: its body is %s', async (_, status, { payload, ...more }) => {
    const { http } = await buildApp({ BODY_BYTES_MAX: '1000' });
    const send = (url: string, headers: object) =>
      http.inject({
        method: 'POST',
        url,
        payload,
        headers: { 'content-type': 'application/json', ...('headers' in more && more.headers), ...headers },
      });
    const keyed = await send('/v1/step', { 'idempotency-key': 'a' });
    expect([keyed.statusCode, keyed.json().applied]).toEqual([status, 'unknown']);
    const unkeyed = await send('/v1/step', { 'x-session-id': 'abc' });
    expect([unkeyed.statusCode, unkeyed.json().applied]).toEqual([status, 'no']);
  });
});
