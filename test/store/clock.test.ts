// Lifetimes are measured by a clock that is not affected by a jump of the wall clock.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { monotonicClock } from '../../src/store/clock.ts';
import { JUMP_SETTLES_MS, ServerClock } from '../../src/store/redis/clock.ts';
import { buildApp } from '../helpers/app.ts';

const TWO_DAYS_MS = 2 * 24 * 3_600_000;

describe('the wall clock is set', () => {
  const startMs = Date.parse('2030-01-01T00:00:00Z');
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'carryover-clock-'));
    vi.useFakeTimers({ toFake: ['Date'], now: startMs });
  });
  afterEach(() => {
    vi.useRealTimers();
    rmSync(folder, { recursive: true, force: true });
  });

  test.each(['memory:', 'sqlite:'])('%s: no session expires early, and none lives for ever', async (kind) => {
    const url = kind === 'sqlite:' ? `sqlite:${join(folder, 'x.sqlite')}` : kind;
    const app = await buildApp({ STORE_URL: url });
    const create = async (ttl_s: number) => (await app.post('/v1/sessions', { model: 'sunspots', ttl_s })).body;
    const idle = await create(60);
    // Times stay readable.
    expect(Math.abs(Date.parse(idle.created_at) - startMs)).toBeLessThan(60_000);
    vi.setSystemTime(startMs + TWO_DAYS_MS);
    await app.sessions.sweep(100);
    expect((await app.http.inject(`/v1/sessions/${idle.id}`)).statusCode).toBe(200);
    vi.setSystemTime(startMs);
    const step = await app.post('/v1/step', { session: idle.id, x: [[0.5]] });
    expect(step.status).toBe(200);

    const short = await create(0.05);
    vi.setSystemTime(startMs - TWO_DAYS_MS);
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect((await app.http.inject(`/v1/sessions/${short.id}`)).statusCode).toBe(410);
  });

  test('control: by the wall clock the session expires', async () => {
    const app = await buildApp({}, { now: Date.now });
    const { body } = await app.post('/v1/sessions', { model: 'sunspots', ttl_s: 60 });
    vi.setSystemTime(startMs + TWO_DAYS_MS);
    expect((await app.http.inject(`/v1/sessions/${body.id}`)).statusCode).toBe(410);
  });

  test('a clock that was started counts the time that passes', () => {
    const now = monotonicClock();
    const before = now();
    vi.setSystemTime(startMs + TWO_DAYS_MS);
    expect(now() - before).toBeLessThan(1_000);
  });

  test('two computers whose clocks differ agree on the time of the server', () => {
    const first = new ServerClock();
    vi.setSystemTime(startMs + TWO_DAYS_MS);
    const second = new ServerClock();
    for (const clock of [first, second]) clock.observe(5_000_000, 1_000, 1_010);
    expect([first.now(2_005), second.now(2_005)]).toEqual([5_001_000, 5_001_000]);
  });
});

describe('the clock of the server', () => {
  /** Asked every second, by a server that is `aheadMs` ahead of itself. */
  function asked(clock: ServerClock, fromMs: number, seconds: number, aheadMs = (_ms: number) => 0) {
    for (let ms = fromMs; ms < fromMs + seconds * 1_000; ms += 1_000) {
      clock.observe(1e12 + ms + aheadMs(ms), ms, ms);
    }
  }

  test('the clock of the server is followed as it drifts', () => {
    const clock = new ServerClock();
    asked(clock, 0, 10_000, (ms) => ms / 10_000);
    expect(clock.now(10_000_000)).toBeCloseTo(1e12 + 10_000_000 + 1_000, -1);
  });

  test('a jump that is corrected has no effect', () => {
    const clock = new ServerClock();
    asked(clock, 0, 10);
    asked(clock, 10_000, 20, () => TWO_DAYS_MS);
    expect(clock.now(30_000)).toBe(1e12 + 30_000);
    asked(clock, 30_000, 1);
    asked(clock, 31_000, 29, () => TWO_DAYS_MS);
    expect(clock.now(60_000)).toBe(1e12 + 60_000);
  });

  test('a jump that lasts is followed after some time', () => {
    const clock = new ServerClock();
    asked(clock, 0, 10);
    asked(clock, 10_000, JUMP_SETTLES_MS / 1_000 + 1, () => 60_000);
    expect(clock.now(100_000)).toBe(1e12 + 160_000);
  });

  test('an answer that took long is ignored', () => {
    const clock = new ServerClock();
    asked(clock, 0, 10);
    clock.observe(1e12 + 10_000, 10_000, 11_000);
    expect(clock.now(20_000)).toBe(1e12 + 20_000);
  });
});
