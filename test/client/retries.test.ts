// When a call is sent again, after which time, and that each attempt is the same.
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Carryover, CarryoverError, type CarryoverOptions, type Session } from '../../src/client/index.ts';
import { CREATED, INFO, LOST, type Scripted, json, problem, scripted, stepped } from './scripted.ts';

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] });
});
afterEach(() => {
  vi.useRealTimers();
});

/** Lets time pass until a promise is settled. */
async function settled<Value>(promise: Promise<Value>): Promise<Value> {
  const state = { isSettled: false };
  const end = () => void (state.isSettled = true);
  promise.then(end, end);
  while (!state.isSettled) await vi.advanceTimersByTimeAsync(50);
  return promise;
}

/** A client whose calls get these answers. */
function clientOf(answers: readonly Scripted[], options: CarryoverOptions = {}) {
  const { fetch, calls } = scripted(...answers);
  return { carryover: new Carryover('http://carryover.test/api', { fetch, ...options }), calls };
}

/** A session whose calls get these answers. */
async function sessionOf(answers: readonly Scripted[], options?: CarryoverOptions) {
  const { carryover, calls } = clientOf([CREATED, ...answers], options);
  const session = await carryover.sessions.create({ model: 'm' });
  calls.length = 0;
  return { session, calls };
}

const errorOf = (promise: Promise<unknown>) => promise.then(() => expect.unreachable(), (error: unknown) => error as CarryoverError);

describe('a step of a session', () => {
  test.each<[string, Scripted]>([
    ['a lost connection', LOST],
    ['503 queue_full', problem(503, 'queue_full', { applied: 'no' }, { 'retry-after': '1' })],
    ['503 store_unavailable', problem(503, 'store_unavailable', { applied: 'unknown' })],
    ['503 of a gateway', new Response('<html>down</html>', { status: 503 })],
    ['502 of a gateway', new Response('', { status: 502 })],
    ['504 of a gateway', new Response('', { status: 504 })],
    ['429', problem(429, 'rate_limited', { applied: 'no' }, { 'retry-after': '2' })],
    ['408', problem(408, 'request_timeout', { applied: 'unknown' })],
    ['409 of a call that is still running', problem(409, 'idempotency_key_in_use', { applied: 'unknown' }, { 'retry-after': '1' })],
    ['500 that may have been applied', problem(500, 'internal', { applied: 'unknown' })],
    ['500 of a worker', problem(500, 'worker_failed', { applied: 'no' })],
    ['an answer that does not come', 'silence'],
  ])('is sent again after %s, with the same key, ETag and body', async (_, answer) => {
    const { session, calls } = await sessionOf([answer, stepped(1)]);
    const step = await settled(session.step([[0.5]]));
    expect(step.session.t).toBe(1);
    expect(session.etag).toBe('"a.1"');
    const [first, second, ...more] = calls;
    expect(more).toEqual([]);
    expect(first).toMatchObject({ method: 'POST', path: '/api/v1/step', headers: { 'if-match': '"a.0"' } });
    expect(first!.headers['idempotency-key']).toMatch(/^[0-9a-f]{32}$/);
    expect({ ...second, atMs: 0 }).toEqual({ ...first, atMs: 0 });
  });

  test.each([
    ['400', 400, 'invalid_request', 'no'],
    ['401', 401, 'unauthenticated', 'unknown'],
    ['404', 404, 'session_not_found', 'no'],
    ['409 of another kind', 409, 'name_taken', 'no'],
    ['410', 410, 'session_gone', 'unknown'],
    ['412', 412, 'step_conflict', 'no'],
    ['422', 422, 'shape_mismatch', 'no'],
    ['422 of an answer that is not kept', 422, 'answer_not_kept', 'yes'],
    ['500 that was not applied', 500, 'internal', 'no'],
    ['507', 507, 'store_full', 'no'],
  ])('is not sent again after %s', async (_, status, code, applied) => {
    const { session, calls } = await sessionOf([problem(status, code, { applied }), stepped(1)]);
    const error = await errorOf(settled(session.step([[0.5]])));
    expect(error).toBeInstanceOf(CarryoverError);
    expect(error).toMatchObject({ status, code, applied, attempts: 1, problem: { code, detail: `It is ${code}.` } });
    expect(calls).toHaveLength(1);
  });

  test('is given up after a few failures of the service itself', async () => {
    const { session, calls } = await sessionOf([problem(500, 'internal', { applied: 'unknown' })]);
    expect(await errorOf(settled(session.step([[0.5]])))).toMatchObject({ code: 'internal', applied: 'unknown', attempts: 4 });
    expect(calls).toHaveLength(4);
  });

  test('is given up after its time, and then it is not known whether it was applied', async () => {
    const { session, calls } = await sessionOf([LOST], { retry: { giveUpMs: 10_000 } });
    const error = await errorOf(settled(session.step([[0.5]])));
    expect(error).toMatchObject({ code: 'no_answer', status: undefined, problem: undefined, applied: 'unknown', cause: LOST });
    expect(error.message).toBe('POST /v1/step got no answer from http://carryover.test/api/: fetch failed (ECONNRESET)');
    expect(calls.at(-1)!.atMs - calls[0]!.atMs).toBeLessThanOrEqual(10_000);
    expect(error.attempts).toBe(calls.length);
    expect(calls.length).toBeGreaterThan(4);
  });

  test('is sent once if nothing is to be repeated', async () => {
    const { session, calls } = await sessionOf([LOST], { retry: false });
    expect(await errorOf(settled(session.step([[0.5]])))).toMatchObject({ code: 'no_answer', attempts: 1 });
    expect(calls).toHaveLength(1);
  });
});

describe('the wait before an attempt', () => {
  test('doubles at most, up to its limit, and is random', async () => {
    const retry = { giveUpMs: 60_000, delayMs: 100, delayMsMax: 1_000 };
    const { session, calls } = await sessionOf([LOST], { retry });
    await errorOf(settled(session.step([[0.5]])));
    const waits = calls.slice(1).map(({ atMs }, i) => atMs - calls[i]!.atMs);
    for (const [i, wait] of waits.entries()) expect(wait).toBeLessThanOrEqual(Math.min(1_000, 100 * 2 ** i) + 1);
    expect(Math.max(...waits)).toBeGreaterThan(500);
    expect(new Set(waits).size).toBeGreaterThan(waits.length / 2);
  });

  test('is not shorter than the service asks for, in seconds or until a date', async () => {
    for (const valueOf of [() => '7', () => new Date(Date.now() + 8_000).toUTCString()]) {
      const busy = problem(503, 'queue_full', { applied: 'no' }, { 'retry-after': valueOf() });
      const { session, calls } = await sessionOf([busy, stepped(1)]);
      await settled(session.step([[0.5]]));
      expect(calls[1]!.atMs - calls[0]!.atMs).toBeGreaterThanOrEqual(7_000 - 1);
      expect(calls[1]!.atMs - calls[0]!.atMs).toBeLessThan(9_000);
    }
  });

  test('is not begun if the time would be over: the caller learns how long it would be', async () => {
    const limited = problem(429, 'rate_limited', { applied: 'no' }, { 'retry-after': '3600' });
    const { session, calls } = await sessionOf([limited]);
    // Without letting time pass.
    expect(await errorOf(session.step([[0.5]]))).toMatchObject({ code: 'rate_limited', retryAfterMs: 3_600_000 });
    expect(calls).toHaveLength(1);
  });
});

describe('a signal', () => {
  test.each([['while an answer is awaited', 'silence' as const], ['while an attempt is awaited', LOST]])('ends a call %s', async (_, answer) => {
    const { session, calls } = await sessionOf([answer]);
    const controller = new AbortController();
    const call = errorOf(session.step([[0.5]], { signal: controller.signal }));
    await vi.advanceTimersByTimeAsync(1);
    const reason = new Error('enough');
    controller.abort(reason);
    expect(await call).toBe(reason);
    const count = calls.length;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(calls).toHaveLength(count);
  });

  test('of the client ends all calls, and those that wait for their turn are not sent', async () => {
    const controller = new AbortController();
    const { session, calls } = await sessionOf(['silence'], { signal: controller.signal });
    const both = [errorOf(session.step([[1]])), errorOf(session.step([[2]]))];
    await vi.advanceTimersByTimeAsync(1);
    controller.abort();
    expect((await Promise.all(both)).map(({ name }) => name)).toEqual(['AbortError', 'AbortError']);
    expect(await errorOf(session.step([[3]]))).toMatchObject({ name: 'AbortError' });
    expect(calls).toHaveLength(1);
  });

  test('that ends a call which waits for its turn leaves the others theirs', async () => {
    const { session, calls } = await sessionOf([LOST, stepped(1), stepped(2)]);
    const controller = new AbortController();
    const [first, second, third] = [session.step([[1]]), errorOf(session.step([[2]], { signal: controller.signal })), session.step([[3]])];
    controller.abort();
    expect(await second).toMatchObject({ name: 'AbortError' });
    expect((await settled(first)).session.t).toBe(1);
    expect((await settled(third)).session.t).toBe(2);
    expect(calls).toHaveLength(3);
  });

  test('leaves it open whether the call was applied, and a later conflict says so', async () => {
    const { session } = await sessionOf(['silence', problem(412, 'step_conflict', { applied: 'no' })]);
    const controller = new AbortController();
    const aborted = errorOf(session.step([[1]], { signal: controller.signal }));
    await vi.advanceTimersByTimeAsync(1);
    controller.abort();
    await aborted;
    expect((await errorOf(settled(session.step([[2]])))).message).toBe(
      'It is step_conflict. An earlier call has ended without an answer, and may have been applied. read() the session to go on from there.',
    );
  });
});

describe('each change of a session', () => {
  const info = json({ ...INFO, t: 1, version: 1 }, { headers: { etag: '"a.1"' } });
  test.each<[string, (session: Session) => Promise<unknown>, Response]>([
    ['step', (session) => session.step([[1]]), stepped(1)],
    ['sequence', (session) => session.sequence([[[1]]]), stepped(1)],
    ['set', (session) => session.set({ h: [[1]], t: 1 }), info],
    ['rewind', (session) => session.rewind(1), info],
    ['fork', (session) => session.fork(), info],
    ['delete', (session) => session.delete(), new Response(null, { status: 204 })],
  ])('%s has a key of its own and the ETag of the last answer, also when it is sent again', async (_, change, answer) => {
    const { session, calls } = await sessionOf([LOST, answer, LOST, answer]);
    await settled(change(session));
    await settled(change(session));
    const keys = calls.map(({ headers }) => headers['idempotency-key']);
    expect(keys.every((key) => /^[0-9a-f]{32}$/.test(key!))).toBe(true);
    expect([keys[0] === keys[1], keys[2] === keys[3], keys[0] === keys[2]]).toEqual([true, true, false]);
    expect(calls.map(({ headers }) => headers['if-match'])).toEqual(['"a.0"', '"a.0"', session.etag, session.etag]);
  });

  test('and its creation has a key; what changes nothing has none', async () => {
    const { carryover, calls } = clientOf([LOST, CREATED, LOST, info]);
    const session = await settled(carryover.sessions.create({ model: 'm' }));
    expect(calls[0]!.headers['idempotency-key']).toBe(calls[1]!.headers['idempotency-key']);
    expect(calls[0]!.headers).not.toHaveProperty('if-match');
    await settled(carryover.sessions.open(session.id));
    expect(calls[2]!.headers).not.toHaveProperty('idempotency-key');
  });
});

describe('other calls', () => {
  test('a deletion of a model whose answer was lost has succeeded', async () => {
    const gone = problem(404, 'model_not_found');
    const { carryover } = clientOf([LOST, gone]);
    await settled(carryover.models.delete('m'));
    const { carryover: never } = clientOf([gone]);
    expect(await errorOf(settled(never.models.delete('m')))).toMatchObject({ code: 'model_not_found' });
  });

  test('a stream that breaks off is sent again, and goes on behind the last step', async () => {
    const event = (t: number) => `event: step\nid: ${t}\ndata: {"t":${t},"h":[[${t}]]}\n\n`;
    const part = () => new Response(`${event(1)}${event(2)}event: step\nid: 3\ndata: {"t":3,"h`);
    const whole = new Response(`${event(1)}${event(2)}${event(3)}event: done\nid: 3\ndata: {"done":true,"t":3,"h":[[3]]}\n\n`);
    const { carryover, calls } = clientOf([part(), LOST, part(), whole]);
    const items = await settled(Array.fromAsync(carryover.streamSequence({ model: 'm', x: [[[1]], [[2]], [[3]]] })));
    expect(items.map(({ t, done, h }) => [t, done ?? false, JSON.stringify(h)])).toEqual([
      [1, false, '[[1]]'],
      [2, false, '[[2]]'],
      [3, false, '[[3]]'],
      [3, true, '[[3]]'],
    ]);
    expect(calls).toHaveLength(4);
    expect(new Set(calls.map(({ body }) => body)).size).toBe(1);
    const { carryover: hopeless } = clientOf([part()], { retry: { giveUpMs: 2_000 } });
    const broken = Array.fromAsync(hopeless.streamSequence({ model: 'm', x: [[[1]]] }));
    expect(await errorOf(settled(broken))).toMatchObject({ code: 'no_answer' });
  });

  test('a stream ends with an error that the service sends in it', async () => {
    const { carryover } = clientOf([new Response(`data: {"t":1,"h":[[1]]}\n\ndata: {"error":{"status":422,"code":"not_finite","detail":"h is not finite."}}\n\n`)]);
    const stream = carryover.streamSequence({ model: 'm', x: [[[1]]] });
    expect((await stream.next()).value).toMatchObject({ t: 1 });
    expect(await errorOf(stream.next())).toMatchObject({ code: 'not_finite', status: 422, message: 'h is not finite.' });
  });

  test('the service is awaited until it is ready, or the time is over', async () => {
    const starting = problem(503, 'shutting_down', {}, { 'retry-after': '100' });
    const { carryover, calls } = clientOf([LOST, starting, starting, json({ status: 'ok' })]);
    await settled(carryover.waitUntilReady());
    expect(calls.map(({ path }) => path)).toEqual(Array(4).fill('/api/health/ready'));
    const { carryover: never } = clientOf([LOST]);
    expect(await errorOf(settled(never.waitUntilReady({ timeoutMs: 3_000 })))).toMatchObject({ code: 'no_answer' });
    const { carryover: other } = clientOf([new Response('<html>', { status: 404 })]);
    expect(await errorOf(settled(other.waitUntilReady()))).toMatchObject({ code: 'unreadable_answer', status: 404 });
  });
});
