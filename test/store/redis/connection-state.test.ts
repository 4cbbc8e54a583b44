import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { ConnectionState } from '../../../src/store/redis/connection-state.ts';

const DOWN_MS_MAX = 100;
const inMs = (ms: number) => performance.now() + ms;

/** What untilUsable() resolves with, and after how many ms. */
async function wait(state: ConnectionState, ms: number): Promise<{ isUsable: boolean; tookMs: number }> {
  const startMs = performance.now();
  const isUsable = await state.untilUsable(inMs(ms));
  return { isUsable, tookMs: performance.now() - startMs };
}

test('a wait ends when the connection becomes usable', async () => {
  const state = new ConnectionState(DOWN_MS_MAX);
  const waiting = wait(state, 5_000);
  await sleep(10);
  state.setUsable();
  expect(await waiting).toMatchObject({ isUsable: true });
  expect((await waiting).tookMs).toBeLessThan(4_000);
  expect(state.isUsable).toBe(true);
});

test('a wait ends at its deadline', async () => {
  const state = new ConnectionState(DOWN_MS_MAX);
  const { isUsable, tookMs } = await wait(state, 30);
  expect(isUsable).toBe(false);
  expect(tookMs).toBeGreaterThanOrEqual(29);
});

test('a connection that is down for longer than the time limit is not waited for', async () => {
  const state = new ConnectionState(DOWN_MS_MAX);
  state.setUsable();
  await sleep(DOWN_MS_MAX + 20);
  // Counted from when it went down.
  state.setDown();
  expect(state.isUsable).toBe(false);
  expect((await wait(state, 30)).tookMs).toBeGreaterThanOrEqual(29);
  await sleep(DOWN_MS_MAX);
  expect((await wait(state, 5_000)).tookMs).toBeLessThan(4_000);
});

test('a connection that is refused is not waited for, until it is usable again', async () => {
  const state = new ConnectionState(5_000);
  const waiting = wait(state, 5_000);
  await sleep(10);
  state.setRefused('WRONGPASS');
  expect(await waiting).toMatchObject({ isUsable: false });
  expect([state.isRefused, state.problem]).toEqual([true, 'WRONGPASS']);
  state.setUsable();
  expect(state.isRefused).toBe(false);
  expect(await wait(state, 5_000)).toMatchObject({ isUsable: true });
});

test('a closed connection stays closed', async () => {
  const state = new ConnectionState(5_000);
  const waiting = wait(state, 5_000);
  state.setClosed();
  expect(await waiting).toMatchObject({ isUsable: false });
  state.setUsable();
  state.setDown();
  expect([state.isClosed, state.isUsable]).toEqual([true, false]);
});
