// Sequences: sessions that are named by ids of the clients. What they compute is compared with /v1/sequence on all steps.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { SessionStore } from '../../../src/store/store.ts';
import { MemoryStore } from '../../../src/store/memory.ts';
import { makeKeys } from '../../helpers/access.ts';
import { type TestApp, buildApp } from '../../helpers/app.ts';
import { closeAtEnd } from '../../helpers/cleanup.ts';
import { describeLong, runs } from '../../helpers/long.ts';
import { describeWith } from '../../helpers/needs.ts';
import { startQuickly } from '../../helpers/process.ts';
import { startRedis } from '../../helpers/redis.ts';
import { fc } from '../../helpers/seed.ts';
import { SharedStore } from '../../sessions/setup.ts';

const LSTM = {
  name: 'lstm',
  layers: [
    { type: 'lstm', W_x: [[0.5, -0.25, 1, 0.75]], W_h: [[0.1, 0.2, -0.3, 0.4]], b: [0, 1, 0, 0] },
    { type: 'rnn', W_x: [[0.5, -0.25]], W_h: [[0.1, 0.2], [-0.3, 0.4]] },
    { type: 'dense', W: [[2], [-1]] },
  ],
};
const XS = [0.3, -0.8, 1.2, 0.1, -0.4, 0.9];

interface Step {
  readonly x?: number | readonly number[];
  readonly id?: unknown;
  readonly start?: boolean;
  readonly end?: boolean;
  readonly model?: string;
  readonly headers?: Record<string, string>;
  readonly states?: readonly object[];
}

async function step(app: TestApp, { x = 0.5, id = 7, start, end, model = 'lstm', headers = {}, states = [] }: Step) {
  const xs = [x].flat();
  const idJson = typeof id === 'bigint' ? String(id) : JSON.stringify(id);
  const flags = `${start === undefined ? '' : `,"sequence_start":${start}`}${end === undefined ? '' : `,"sequence_end":${end}`}`;
  const inputs = [{ name: 'x', shape: [xs.length, 1], datatype: 'FP32', data: xs }, ...states];
  const payload = `{"inputs":${JSON.stringify(inputs)},"outputs":[{"name":"y"}],"parameters":{"sequence_id":${idJson}${flags}}}`;
  const response = await app.http.inject({ method: 'POST', url: `/v2/models/${model}/infer`, payload, headers });
  const body = response.json();
  return { status: response.statusCode, y: body.outputs?.[0].data.flat() as number[], error: body.error as string, headers: response.headers };
}

async function register(app: TestApp) {
  expect((await app.post('/v1/models', LSTM)).status).toBe(201);
}

/** y after each step of XS. */
async function expectedOf(app: TestApp, xs: readonly number[] = XS): Promise<number[]> {
  const { body } = await app.post('/v1/sequence', { model: 'lstm', x: xs.map((x) => [[x]]) });
  return body.ys.flat(2);
}

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
    expect((await step(app, { id: 'one' })).status).toBe(400);
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

test('sequences go on after a restart', async () => {
  const store: SessionStore = new MemoryStore(1e8);
  const before = await buildApp({}, { store });
  await register(before);
  const expected = await expectedOf(before);
  await step(before, { x: XS[0]!, start: true });
  const after = await buildApp({}, { store });
  expect((await step(after, { x: XS[1]! })).y).toEqual(expected.slice(1, 2));
});

/** Two processes that share a store take turns with sequences, and start them at the same time. */
async function expectShared(a: TestApp, b: TestApp) {
  await register(a);
  const expected = await expectedOf(a);
  for (let round = 0; round < 3; round++) {
    const ys: number[] = [];
    for (const [t, x] of XS.entries()) {
      const app = (t + round) % 2 === 0 ? a : b;
      ys.push(...(await step(app, { x, start: t === 0, end: t === XS.length - 1 && round > 0 })).y);
    }
    expect(ys, `round ${round}`).toEqual(expected);
  }
  const starts = await Promise.all(XS.map((x, k) => step(k % 2 === 0 ? a : b, { id: 'both', x, start: true })));
  expect(starts.map(({ status }) => status)).toEqual(XS.map(() => 200));
}

test('processes on one store have the same sequences, whichever starts and ends them', async () => {
  const store = new SharedStore(1e8);
  await expectShared(await buildApp({}, { store }), await buildApp({}, { store }));
});

test('random requests to two processes behave as a plain list of steps for each id', async () => {
  const store = new SharedStore(1e8);
  const processes = [await buildApp({}, { store }), await buildApp({}, { store })] as const;
  await register(processes[0]);
  const command = fc.record({
    process: fc.constantFrom(0, 1),
    id: fc.constantFrom<number | string>(1, '1', 2),
    x: fc.constantFrom(...XS),
    start: fc.boolean(),
    end: fc.boolean(),
    isRefused: fc.nat(9).map((number) => number === 0),
  });
  let round = 0;
  const check = async (commands: (typeof command extends fc.Arbitrary<infer Command> ? Command : never)[]) => {
    round++;
    const steps = new Map<unknown, number[]>();
    for (const { process, id, x, start, end, isRefused } of commands) {
      const xs = start ? [x] : steps.get(id)?.concat(x);
      const output = isRefused ? { states: [{ name: 'z', shape: [1], datatype: 'FP32', data: [1] }] } : {};
      const ownId = 1_000 * round + Number(id);
      const answer = await step(processes[process], { id: typeof id === 'string' ? String(ownId) : ownId, x, start, end, ...output });
      if (isRefused || !xs) {
        expect(answer.status).toBe(400);
        continue;
      }
      expect([answer.status, answer.y?.[0]]).toEqual([200, (await expectedOf(processes[0], xs)).at(-1)]);
      if (end) steps.delete(id);
      else steps.set(id, xs);
    }
  };
  await fc.assert(fc.asyncProperty(fc.array(command, { maxLength: 12 }), check), { numRuns: runs(60) });
});

test('requests at the same time to two processes are computed, or say that the sequence has not started', async () => {
  const store = new SharedStore(1e8);
  const processes = [await buildApp({}, { store }), await buildApp({}, { store })] as const;
  await register(processes[0]);
  const calls = Array.from({ length: 60 }, (_, k) =>
    step(processes[k % 2]!, { id: k % 3, x: XS[k % 6]!, start: k % 5 === 0, end: k % 7 === 0 }),
  );
  for (const { status, error } of await Promise.all(calls)) {
    if (status !== 200) expect([status, error]).toEqual([400, expect.stringMatching(/must specify the START flag|need a sequence_id/)]);
  }
});

describeWith('redis-server', 'on Redis', () => {
  test('processes have the same sequences', async () => {
    const { url } = await startRedis();
    await expectShared(await buildApp({ STORE_URL: url }), await buildApp({ STORE_URL: url }));
  });
});

describeLong('kill -9', () => {
  test('a sequence goes on with the step behind the last one that was answered', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'carryover-sequences-'));
    closeAtEnd(() => rmSync(folder, { recursive: true }));
    const env = { STORE_URL: `sqlite:${join(folder, 'sequences.sqlite')}` };
    const ys: number[] = [];
    for (const [t, x] of XS.entries()) {
      const server = await startQuickly(env);
      const body = JSON.stringify({
        inputs: [{ name: 'x', shape: [1, 1], datatype: 'FP32', data: [x] }],
        outputs: [{ name: 'y' }],
        parameters: { sequence_id: 'killed', sequence_start: t === 0 },
      });
      const response = await fetch(`${server.url}/v2/models/sunspots/infer`, { method: 'POST', body });
      ys.push((await response.json()).outputs[0].data[0][0]);
      server.process.kill('SIGKILL');
      await server.stop();
    }
    const app = await buildApp();
    const { body } = await app.post('/v1/sequence', { model: 'sunspots', x: XS.map((x) => [[x]]) });
    expect(ys).toEqual(body.ys.flat(2));
  });
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
