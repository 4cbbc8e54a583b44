import { expect, test } from 'vitest';
import { committedHashes, goldenHashes } from './golden.ts';

test('the functions, and a thousand models of all cells with their outputs and traces, have the committed bits', () => {
  expect(goldenHashes()).toBe(committedHashes());
});
