import { expect, test } from 'vitest';
import { SessionCache } from '../../src/sessions/session-cache.ts';
import { newSession } from '../../src/sessions/session.ts';

const SPEC = { modelId: 'sha256:m', N: 1, D: 1, H: 1_000, keep: 0, ttlMs: 1_000 };
const BYTES = 5_000;
const cached = (id: string, H = SPEC.H) => ({
  session: newSession(id, 'incarnation', { ...SPEC, H, state: new Float32Array(H) }, 0),
  revision: '0',
});
const heldIn = (cache: SessionCache, ids: readonly string[]) =>
  ids.filter((id) => cache.get(id) !== undefined);

test('the session that was changed longest ago is evicted, not the one that was read longest ago', () => {
  const cache = new SessionCache(3 * BYTES);
  for (const id of ['a', 'b', 'c']) cache.set(cached(id));
  cache.set(cached('a'));
  cache.get('b');
  cache.set(cached('d'));
  expect(heldIn(cache, ['a', 'b', 'c', 'd'])).toEqual(['a', 'c', 'd']);
  cache.delete('a');
  cache.set(cached('e'));
  expect(heldIn(cache, ['a', 'c', 'd', 'e'])).toEqual(['c', 'd', 'e']);
});

test('the bytes of a session are counted anew when it is set again', () => {
  const cache = new SessionCache(3 * BYTES);
  for (const id of ['a', 'b', 'c']) cache.set(cached(id));
  cache.set(cached('c', 2 * SPEC.H));
  expect(heldIn(cache, ['a', 'b', 'c'])).toEqual(['b', 'c']);
});

test('a session that is larger than the whole cache is not cached, and its earlier state is dropped', () => {
  const cache = new SessionCache(3 * BYTES);
  for (const id of ['a', 'b']) cache.set(cached(id));
  cache.set(cached('b', 10 * SPEC.H));
  expect(heldIn(cache, ['a', 'b'])).toEqual(['a']);
});

test('a cache of 0 bytes caches nothing', () => {
  const cache = new SessionCache(0);
  cache.set(cached('a', 1));
  expect(cache.get('a')).toBeUndefined();
});
