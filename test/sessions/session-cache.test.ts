import { expect, test } from 'vitest';
import { SessionCache } from '../../src/sessions/session-cache.ts';
import { newSession } from '../../src/sessions/session.ts';

const SPEC = { modelId: 'sha256:m', N: 1, D: 1, H: 1_000, keep: 0, ttlMs: 1_000 };
const cached = (id: string) => ({
  session: newSession(id, 'incarnation', { ...SPEC, h: new Float32Array(1_000) }, 0),
  revision: '0',
});

test('holds what there is room for, and lets go of what was set longest ago', () => {
  const sessions = new SessionCache(3 * 5_000);
  for (const id of ['a', 'b', 'c']) sessions.set(cached(id));
  sessions.set(cached('a'));
  sessions.set(cached('d'));
  const held = ['a', 'b', 'c', 'd'].filter((id) => sessions.get(id) !== undefined);
  expect(held).toEqual(['a', 'c', 'd']);
  sessions.delete('a');
  sessions.set(cached('e'));
  expect(['c', 'd', 'e'].every((id) => sessions.get(id) !== undefined)).toBe(true);
});

test('one that is larger than all room is not held', () => {
  const sessions = new SessionCache(100);
  sessions.set(cached('a'));
  expect(sessions.get('a')).toBeUndefined();
});
