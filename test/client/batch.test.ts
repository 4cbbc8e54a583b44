// batch(): each item exactly once and in the order of its session, whatever happens to connections and to other items.
import { beforeAll, describe, expect, test } from 'vitest';
import { Carryover, CarryoverError, type BatchItem, type Session, Tensor } from '../../src/client/index.ts';
import { sized } from '../helpers/long.ts';
import { startLossyProxy } from '../helpers/lossy-proxy.ts';
import { SEED } from '../helpers/seed.ts';
import { INFO, type Scripted, json, problem, scripted } from './scripted.ts';
import { type TestService, startService } from './service.ts';

const ROUNDS = sized({ short: 20, long: 300 });
const SESSIONS = 6;
const MODEL = { weights: { W_x: [[0.5, -0.25]], W_h: [[0.1, 0.2], [-0.3, 0.4]] } };

let server: TestService;
let direct: Carryover;
let model: string;
beforeAll(async () => {
  server = await startService();
  direct = new Carryover(server.url);
  model = (await direct.models.register(MODEL)).id;
});

const newSessions = (count: number) => Promise.all(Array.from({ length: count }, () => direct.sessions.create({ model })));
/** Two of a session, and one, and the second of them as a sequence. */
const itemsOf = (sessions: readonly Session[], round: number): BatchItem[] =>
  sessions.flatMap(({ id }, k) => [
    { session: id, x: [[Math.sin(round + k)]] },
    ...(k % 2 === 0 ? [{ session: id, x: [[[0.5]], [[round / 10]]] }] : []),
  ]);

describe('a batch', () => {
  test.each(['JSON', 'a file'])('as %s is answered as the calls by themselves are', async (form) => {
    const [sessions, mirrors] = [await newSessions(3), await newSessions(3)];
    const items = itemsOf(sessions, 1).map((item) => (form === 'JSON' ? item : { ...item, x: Tensor.from(item.x) }));
    const results = await direct.batch(items);
    const expected = [
      await mirrors[0]!.step([[Math.sin(1)]]),
      await mirrors[0]!.sequence([[[0.5]], [[0.1]]]),
      await mirrors[1]!.step([[Math.sin(2)]]),
      await mirrors[2]!.step([[Math.sin(3)]]),
      await mirrors[2]!.sequence([[[0.5]], [[0.1]]]),
    ];
    for (const [k, { session: _, ...tensors }] of expected.entries()) {
      expect(results[k]).toMatchObject({ ...tensors, status: 200, applied: 'yes', replayed: false, session: { id: items[k]!.session, digest: expected[k]!.session.digest } });
    }
  });

  test.each<[string, unknown, RegExp]>([
    ['nothing', undefined, /^Expected an array of items/],
    ['an item that is none', [null], /^Expected items\[0\] to be \{ session, x \}/],
    ['a session in place of its id', [{ session: {}, x: [[1]] }], /items\[0\]\.session to be the id/],
    ['a field that no item has', [{ session: 'a', x: [[1]], if_match: 'x' }], /^items\[0\]\.if_match is not a known field/],
    ['an item without x', [{ session: 'a' }], /items\[0\]\.x is missing/],
    ['more keys than a session remembers', Array.from({ length: 65 }, (_, k) => ({ session: 'a', x: [[1]], key: `k${k}` })), /^items\[64\]\.key is the 65th/],
  ])('of %s is not sent', async (_, items, message) => {
    await expect(new Carryover('http://127.0.0.1:9').batch(items as BatchItem[])).rejects.toThrow(message);
  });

  test('what is wrong with an item is its own, and those behind it go on', async () => {
    const [one] = await newSessions(1);
    const [good, wrong, last, nobody] = await direct.batch([
      { session: one!.id, x: [[1]] },
      { session: one!.id, x: [[1, 2]] },
      { session: one!.id, x: [[2]] },
      { session: 'nobody', x: [[1]] },
    ]);
    expect(good).toMatchObject({ status: 200, session: { t: 1 } });
    expect(wrong).toMatchObject({ status: 422, applied: 'no', error: { code: 'shape_mismatch' } });
    expect(wrong!.error).toBeInstanceOf(CarryoverError);
    expect(last).toMatchObject({ status: 200, session: { t: 2 } });
    expect(nobody).toMatchObject({ status: 404, error: { code: 'session_not_found' } });
  });

  test('of more items than a call may have is several calls', async () => {
    const [one] = await newSessions(1);
    const results = await direct.batch(Array.from({ length: 150 }, (_, t) => ({ session: one!.id, x: [[t / 150]] })));
    expect(results.map(({ session }) => session?.t)).toEqual(Array.from({ length: 150 }, (_, t) => t + 1));
    expect(await direct.batch([])).toEqual([]);
  });

  test('with a key counts once, in whatever batch it comes again', async () => {
    const [one] = await newSessions(1);
    const items = [{ session: one!.id, x: [[1]], key: 'mine' }];
    const [[first], [again]] = [await direct.batch(items), await direct.batch(items)];
    expect(first).toMatchObject({ replayed: false, session: { t: 1 } });
    expect(again).toEqual({ ...first, replayed: true });
  });

  test('is refused with the place of what is wrong, before anything is sent', async () => {
    await expect(direct.batch([{ session: 'a', x: [[1]] }, { session: 'b', x: [[1, Number.NaN]] }])).rejects.toThrow('items[1].x[0][1] is NaN');
    await expect(direct.batch([{ session: 'a' } as never])).rejects.toThrow('items[0].x is missing');
  });

  test('that nobody takes is an error of the call', async () => {
    const alone = new Carryover('http://127.0.0.1:1', { retry: false });
    await expect(alone.batch([{ session: 'a', x: [[1]] }])).rejects.toMatchObject({ code: 'no_answer', applied: 'unknown' });
  });
});

/** The error of an entry, as the service prints it. */
const entryOf = async (answer: Response) => {
  const error = (await answer.json()) as { status: number };
  return { status: error.status, error };
};
const done = (t: number) => ({ status: 200, h: [[t]], session: { ...INFO, t, version: t } });

test('an item that failed in passing is sent again with those behind it, under the same keys', async () => {
  const busy = await entryOf(problem(503, 'queue_full', { applied: 'no', retry_after_s: 0 }));
  const conflict = await entryOf(problem(412, 'step_conflict', { applied: 'no' }));
  const answers: Scripted[] = [json({ items: [busy, conflict, done(1)] }), json({ items: [done(1), done(2)] })];
  const { fetch, calls } = scripted(...answers);
  const carryover = new Carryover('http://carryover.test', { fetch, retry: { delayMs: 1 } });
  const results = await carryover.batch([{ session: 'a', x: [[1]] }, { session: 'a', x: [[2]] }, { session: 'b', x: [[3]] }]);
  expect(results.map(({ session }) => session?.t)).toEqual([1, 2, 1]);
  const sent = calls.map(({ body }) => (JSON.parse(String(body)) as { items: { x: number[][]; key: string; if_match?: string }[] }).items);
  expect(sent[0]!.map(({ if_match: ifMatch }) => ifMatch)).toEqual([undefined, 'previous', undefined]);
  expect(new Set(sent[0]!.map(({ key }) => key)).size).toBe(3);
  expect(sent[1]).toEqual(sent[0]!.slice(0, 2));
  expect(sent).toHaveLength(2);
});

test('through connections that are lost each item counts once; without keys it does not', async () => {
  const proxy = await startLossyProxy(server.port, SEED, 0.3);
  const lossy = new Carryover(`http://127.0.0.1:${proxy.port}`, { retry: { delayMs: 5, delayMsMax: 200 } });
  const [sessions, mirrors, unkeyed] = [await newSessions(SESSIONS), await newSessions(SESSIONS), await newSessions(SESSIONS)];
  /** Repeats what was lost, without keys. */
  const sendAnyway = async (items: readonly BatchItem[]): Promise<unknown> => {
    const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ items }) };
    return fetch(`http://127.0.0.1:${proxy.port}/v1/batch`, init).then((answer) => answer.json()).catch(() => sendAnyway(items));
  };
  let count = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const expected = await direct.batch(itemsOf(mirrors, round));
    const results = await lossy.batch(itemsOf(sessions, round));
    expect(results.map(({ status, session }) => [status, session?.digest])).toEqual(expected.map(({ status, session }) => [status, session?.digest]));
    await sendAnyway(itemsOf(unkeyed, round));
    count += results.length;
  }
  const stepsOf = async (all: readonly Session[]) => Promise.all(all.map(async (one) => (await one.read()).t));
  const expected = await stepsOf(mirrors);
  expect(await stepsOf(sessions)).toEqual(expected);
  expect(await stepsOf(unkeyed)).not.toEqual(expected);
  console.log(`${count} items, ${proxy.losses} connections lost (SEED=${SEED})`);
  expect(proxy.losses).toBeGreaterThan(3);
  await proxy.close();
});
