// Sequences: sessions that are named by ids of the clients. What they compute is compared with /v1/sequence on all steps.
import { describe, expect, test } from 'vitest';
import { makeKeys } from '../../helpers/access.ts';
import { buildApp } from '../../helpers/app.ts';
import { LSTM, type Step, XS, expectedOf, register, step } from './sequence-steps.ts';

describe('a sequence', async () => {
  const app = await buildApp();
  await register(app);
  const expected = await expectedOf(app);

  test('its steps have the bits of one sequence, and it is gone after its end', async () => {
    const ys: number[] = [];
    for (const [t, x] of XS.entries()) ys.push(...(await step(app, { x, start: t === 0, end: t === XS.length - 1 })).y);
    expect(ys).toEqual(expected);
    const late = await step(app, {});
    expect(late.status).toBe(400);
    expect(late.error).toMatch(/^inference request for sequence 7 to model 'lstm' must specify the START flag .*was ended after 6 steps at /);
  });

  test('ids next to each other, and a number and a string, are different sequences', async () => {
    const ids = [2n ** 53n, 2n ** 53n + 1n, 2n ** 64n - 1n, 42, '42', 'ä/b', ' '];
    const first = await Promise.all(ids.map((id, k) => step(app, { id, x: XS[k % 6]!, start: true })));
    const second = await Promise.all(ids.map((id) => step(app, { id, x: 1, end: true })));
    for (const [k] of ids.entries()) {
      const [a, b] = await expectedOf(app, [XS[k % 6]!, 1]);
      expect([...first[k]!.y, ...second[k]!.y]).toEqual([a, b]);
    }
  });

  test.each<[unknown, RegExp]>([
    [-1, /integer from 0 to 2\^64 - 1/],
    [1.5, /integer from 0/],
    [2n ** 64n, /integer from 0/],
    [true, /integer from 0/],
    [null, /integer from 0/],
    ['x'.repeat(257), /at most 256 characters/],
  ])('the id %s is refused', async (id, error) => {
    const answer = await step(app, { id, start: true });
    expect([answer.status, answer.error]).toEqual([400, expect.stringMatching(error)]);
  });

  test.each([0, ''])('the id %j is none: the step has no sequence', async (id) => {
    expect((await step(app, { id, x: XS[0]! })).y).toEqual(expected.slice(0, 1));
    const started = await step(app, { id, start: true });
    expect([started.status, started.error]).toEqual([400, expect.stringContaining('need a sequence_id')]);
  });

  test('a start ends the sequence that has the id, also if another model or N follows', async () => {
    await step(app, { x: 1, start: true });
    expect((await step(app, { x: XS[0]!, start: true })).y).toEqual(expected.slice(0, 1));
    expect((await step(app, { x: XS[1]! })).y).toEqual(expected.slice(1, 2));
    expect((await step(app, { x: [XS[0]!, 1], start: true })).y[0]).toBe(expected[0]);
    expect((await step(app, { x: [XS[1]!, 1], end: true })).y[0]).toBe(expected[1]);
  });

  test('one request that starts and ends computes its steps, and ends what was there', async () => {
    await step(app, { id: 'one', x: 1, start: true });
    expect((await step(app, { id: 'one', x: XS[0]!, start: true, end: true })).y).toEqual(expected.slice(0, 1));
    // It ended the sequence that was there; one that nothing preceded leaves no trace.
    expect((await step(app, { id: 'one' })).error).toContain('was ended after 1 steps at');
    expect((await step(app, { id: 'only one', start: true, end: true })).status).toBe(200);
    expect((await step(app, { id: 'only one' })).error).toContain('it began and ended in one request');
  });

  test('a request that starts and ends is refused with a key, which nothing could remember: it changes nothing', async () => {
    const id = 'one with a key';
    await step(app, { id, x: XS[0]!, start: true });
    const refused = await step(app, { id, start: true, end: true, headers: { 'idempotency-key': 'k' } });
    expect([refused.status, refused.error]).toEqual([400, expect.stringMatching(/idempotency-key has no meaning .* Leave the key out/)]);
    expect((await step(app, { id, x: XS[1]! })).y).toEqual(expected.slice(1, 2));
  });

  test('a request that is refused changes nothing: neither a start, nor a step, nor an end', async () => {
    const id = 'refused';
    expect((await step(app, { id, start: true, states: [{ name: 'z', shape: [1], datatype: 'FP32', data: [1] }] })).status).toBe(400);
    expect((await step(app, { id })).error).toContain('There is no sequence with this id');
    await step(app, { id, x: XS[0]!, start: true });
    expect((await step(app, { id, x: [1, 2], start: true, model: 'none' })).status).toBe(404);
    for (const end of [false, true]) expect((await step(app, { id, x: [1, 2], end })).error).toContain('expected (1, 1)');
    expect((await step(app, { id, x: XS[1]! })).y).toEqual(expected.slice(1, 2));
  });

  test('states are given at its start, and at no other request', async () => {
    const states = [
      { name: 'h.0', shape: [1, 1], datatype: 'FP32', data: [0.5] },
      { name: 'h.1', shape: [1, 2], datatype: 'FP32', data: [[0.1, -0.5]] },
      { name: 'c.0', shape: [1, 1], datatype: 'FP32', data: [1] },
    ];
    const { body } = await app.post('/v1/step', { model: 'lstm', x: [[0.5]], h: [[[0.5]], [[0.1, -0.5]]], c: [[[1]], null] });
    expect((await step(app, { id: 'states', start: true, states })).y).toEqual(body.y.flat());
    expect((await step(app, { id: 'states', states })).error).toContain('only with sequence_start');
  });

  test('requests at the same time are computed one after the other', async () => {
    await step(app, { id: 'busy', x: 1, start: true });
    const answers = await Promise.all(Array.from({ length: 8 }, () => step(app, { id: 'busy', x: 1 })));
    const ys = await expectedOf(app, Array<number>(9).fill(1));
    expect(answers.map(({ y }) => y[0])).toEqual(ys.slice(1));
  });

  test('starts at the same time leave one sequence', async () => {
    const answers = await Promise.all(XS.map((x) => step(app, { id: 'starts', x, start: true })));
    expect(answers.map(({ status }) => status)).toEqual(XS.map(() => 200));
    const next = (await step(app, { id: 'starts', x: 1 })).y[0]!;
    const possible = await Promise.all(XS.map(async (x) => (await expectedOf(app, [x, 1]))[1]!));
    expect(possible).toContain(next);
  });

  test('a lost answer: with the same key the same request has the same answer, and counts once', async () => {
    const id = 'keys';
    const call = (k: number, more: Step = {}) => step(app, { id, x: XS[k]!, headers: { 'idempotency-key': `k${k}` }, ...more });
    const start = await call(0, { start: true });
    expect((await call(0, { start: true })).y).toEqual(start.y);
    const second = await call(1);
    const again = await call(1);
    expect([again.y, again.headers['idempotency-replayed']]).toEqual([second.y, 'true']);
    expect((await call(2)).y).toEqual(expected.slice(2, 3));
    expect((await call(3, { headers: { 'idempotency-key': 'k2' } })).error).toContain('was used for another request');
    expect((await call(3, { end: true })).y).toEqual(expected.slice(3, 4));
    const ended = await call(3, { end: true });
    expect([ended.status, ended.error]).toEqual([400, expect.stringContaining('has ended sequence "keys"')]);
  });

  test('its session can be seen, and used as the condition of a step, by /v1', async () => {
    const started = await step(app, { id: 'seen', x: XS[0]!, start: true });
    const session = String(started.headers['x-session-id']);
    const read = await app.http.inject(`/v1/sessions/${session}`);
    expect(read.json()).toMatchObject({ t: 1, N: 1 });
    const etag = String(started.headers.etag);
    expect((await step(app, { id: 'seen', x: XS[1]!, headers: { 'if-match': etag } })).y).toEqual(expected.slice(1, 2));
    expect((await step(app, { id: 'seen', headers: { 'if-match': etag } })).status).toBe(412);
    expect((await app.http.inject({ method: 'DELETE', url: `/v1/sessions/${session}` })).statusCode).toBe(204);
    expect((await step(app, { id: 'seen' })).error).toContain('was ended after 2 steps');
    expect((await step(app, { id: 'seen', x: XS[0]!, start: true })).y).toEqual(expected.slice(0, 1));
  });

  test('a model that begins with the last step has no sequences', async () => {
    const layers = [{ ...LSTM.layers[0], direction: 'reverse' }];
    await app.post('/v1/models', { name: 'reverse', layers });
    const { status, error } = await step(app, { model: 'reverse', start: true });
    expect([status, error]).toEqual([400, expect.stringContaining('layers[0]')]);
  });
});

test('a sequence that has expired is told apart from one that never was', async () => {
  let nowMs = 1_000_000;
  const app = await buildApp({ SESSION_TTL_S: '60' }, { now: () => nowMs });
  await register(app);
  await step(app, { x: 1, start: true });
  nowMs += 61_000;
  expect((await step(app, {})).error).toMatch(/has expired, because no request came for too long \(SESSION_TTL_S\), after 1 steps/);
  expect((await step(app, { start: true })).status).toBe(200);
  expect((await step(app, {})).status).toBe(200);
});

test('tenants have sequences of their own, and a key needs the scope of sessions', async () => {
  const keys = makeKeys();
  const [a, b, computes] = [keys.add('a'), keys.add('b'), keys.add('a', ['compute'])];
  const app = await buildApp({ API_KEYS_FILE: keys.path });
  const of = (key: string, more: Step = {}) => step(app, { model: 'sunspots', headers: { 'x-api-key': key }, ...more });
  expect((await of(a, { start: true })).status).toBe(200);
  expect((await of(b)).error).toContain('There is no sequence with this id');
  expect((await of(a)).status).toBe(200);
  const forbidden = await of(computes);
  expect([forbidden.status, forbidden.error]).toEqual([403, expect.stringContaining('scope sessions')]);
  expect((await of(computes, { id: 0 })).status).toBe(200);
  expect((await step(app, { model: 'sunspots' })).status).toBe(401);
});
