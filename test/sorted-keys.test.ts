import { expect, test } from 'vitest';
import { SortedKeys } from '../src/sorted-keys.ts';
import { fc } from './helpers/seed.ts';

const keys = fc.string({ unit: fc.constantFrom('a', 'b', 'Z', '-', '_', '0'), maxLength: 4 });

test('SortedKeys is a sorted set', () => {
  const calls = fc.array(fc.tuple(fc.boolean(), keys), { maxLength: 300 });
  fc.assert(
    fc.property(calls, keys, fc.nat(20), (all, after, limit) => {
      const sorted = new SortedKeys();
      const model = new Set<string>();
      for (const [adds, key] of all) {
        if (adds) sorted.add(key);
        else sorted.delete(key);
        if (adds) model.add(key);
        else model.delete(key);
      }
      const expected = [...model].toSorted((a, b) => (a < b ? -1 : 1));
      expect(sorted.after(undefined, 1_000)).toEqual(expected);
      expect(sorted.after(after, limit)).toEqual(expected.filter((k) => k > after).slice(0, limit));
    }),
  );
});

test('more keys than a chunk holds are paged through, while others are added and deleted', () => {
  const sorted = new SortedKeys();
  const all = Array.from({ length: 10_000 }, (_, i) => String((i * 7_919) % 10_000).padStart(5, '0'));
  for (const key of all) sorted.add(key);
  const seen: string[] = [];
  for (let page = sorted.after(undefined, 333); page.length > 0; page = sorted.after(seen.at(-1), 333)) {
    seen.push(...page);
    sorted.delete(page.at(-1)!);
  }
  expect(seen).toEqual(all.toSorted());
});
