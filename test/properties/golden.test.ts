import { expect, test } from 'vitest';
import { committedHash, goldenHash } from './golden.ts';

test('a thousand recurrences have the committed bits', () => {
  expect(goldenHash()).toBe(committedHash());
});
