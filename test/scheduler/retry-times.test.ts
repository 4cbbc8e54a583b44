import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { RetryTimes } from '../../src/scheduler/retry-times.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] });
});
afterEach(() => {
  vi.useRealTimers();
});

const WORK_MS = 30;

test('requests that are refused at once are to come again one after the other, three for each place', () => {
  const times = new RetryTimes();
  const delays = Array.from({ length: 5 }, () => times.next(0, WORK_MS));
  expect(delays).toEqual([10, 20, 30, 40, 50]);
});

test('time that passes shortens what the later ones wait', () => {
  const times = new RetryTimes();
  times.next(0, WORK_MS);
  times.next(0, WORK_MS);
  vi.advanceTimersByTime(15);
  expect(times.next(0, WORK_MS)).toBe(15);
  vi.advanceTimersByTime(1_000);
  expect(times.next(0, WORK_MS)).toBe(10);
});

test('none is to come before there can be capacity for it', () => {
  expect(new RetryTimes().next(700, WORK_MS)).toBe(700);
});

test('a client whose own backlog is long does not make the others wait', () => {
  const times = new RetryTimes();
  expect(times.next(60_000, WORK_MS)).toBe(60_000);
  expect(times.next(0, WORK_MS)).toBe(20);
});

test('for the sake of spreading nobody waits longer than ten seconds', () => {
  const times = new RetryTimes();
  const delays = Array.from({ length: 2_000 }, () => times.next(0, WORK_MS));
  expect(Math.max(...delays)).toBe(10_000);
});
