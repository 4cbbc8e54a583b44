import { expect, test } from 'vitest';
import { committedHashes, goldenHashes } from './golden.ts';

test('a thousand recurrences, their readouts and their traces have the committed bits', () => {
  expect(goldenHashes()).toBe(committedHashes());
});
