import { expect } from 'vitest';
import { bitsOf } from './recurrence.ts';

/** toEqual compares two buffers value by value, which takes longer than what most of these tests compute. */
export function expectSameBits(actual: unknown, expected: unknown, message?: string): void {
  const [found, wanted] = [bitsOf(actual), bitsOf(expected)];
  if (!found.equals(wanted)) expect(found, message).toEqual(wanted);
  expect(found.equals(wanted), message).toBe(true);
}
