// POST /v1/batch: many sessions in one call. What each item is answered with is what it would be by itself.
import { describe, expect, test } from 'vitest';
import { writeSafetensors } from '../../src/codec/safetensors/write.ts';
import { readSafetensorsFile } from '../../src/codec/safetensors/read.ts';
import { CarryoverError } from '../../src/errors.ts';
import { createLogger } from '../../src/logging.ts';
import { sessionHash } from '../../src/session-hash.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import { makeKeys } from '../helpers/access.ts';
import { type TestApp, buildApp } from '../helpers/app.ts';
import { sized } from '../helpers/long.ts';
import { fc } from '../helpers/seed.ts';

const TANH = { W_x: [[0.5, -0.25]], W_h: [[0.1, 0.2], [-0.3, 0.4]], b: [0.01, -0.02] };
const STACK = {
  layers: [
    { type: 'embedding', E: [[1, 0], [0, 1], [-1, 0.5]] },
    { type: 'lstm', W_x: [[0.5, -0.25, 1, 0.75], [0.3, 0.8, -0.6, 0.2]], W_h: [[0.1, 0.2, -0.3, 0.4]] },
    { type: 'dense', W: [[2, -1]], activation: 'softmax' },
  ],
};
const NDJSON = 'application/x-ndjson';
const FILE = 'application/vnd.carryover.safetensors';

const app = await buildApp();
const other = await buildApp();

async function sessionOf(on: TestApp, weights: object = TANH): Promise<string> {
  const { body } = await on.post('/v1/sessions', { weights, keep: 2 });
  return body.id as string;
}

interface Entry {
  readonly id?: string | number;
  readonly status: number;
  readonly replayed?: boolean;
  readonly h?: number[][];
  readonly y?: number[][];
  readonly hs?: number[][][];
  readonly session?: { readonly id: string; readonly t: number; readonly digest: string; readonly etag: string };
  readonly error?: { readonly code: string; readonly detail: string; readonly applied: string; readonly instance: string };
}

async function batch(items: readonly unknown[], on = app): Promise<Entry[]> {
  const { status, body } = await on.post('/v1/batch', { items });
  expect(status, JSON.stringify(body)).toBe(200);
  expect(body.items).toHaveLength(items.length);
  return body.items as Entry[];
}

test('steps of several sessions have the answers that each has by itself', async () => {
  const [a, b] = [await sessionOf(app), await sessionOf(app, STACK)];
  const [c, d] = [await sessionOf(other), await sessionOf(other, STACK)];
  const entries = await batch([
    { session: a, x: [[1]], id: 'first' },
    { session: b, x: [2], id: 7 },
    { session: a, x: [[[0.5]], [[-1]]] },
  ]);
  const alone = [
    await other.post('/v1/step', { session: c, x: [[1]] }),
    await other.post('/v1/step', { session: d, x: [2] }),
    await other.post('/v1/sequence', { session: c, x: [[[0.5]], [[-1]]] }),
  ];
  for (const [k, { body }] of alone.entries()) {
    const { status, session, id: _, ...rest } = entries[k]!;
    const { session: expected, ...tensors } = body;
    expect([status, rest]).toEqual([200, tensors]);
    expect([session!.t, session!.digest]).toEqual([expected.t, expected.digest]);
  }
  expect(entries.map(({ id }) => id)).toEqual(['first', 7, undefined]);
  expect(entries[2]!.session!.t).toBe(3);
  const read = await app.http.inject(`/v1/sessions/${a}`);
  expect(read.headers.etag).toBe(entries[2]!.session!.etag);
});

test('what is wrong with an item is its own, and is said with what was applied', async () => {
  const [a, b] = [await sessionOf(app), await sessionOf(app)];
  const gone = await sessionOf(app);
  await app.http.inject({ method: 'DELETE', url: `/v1/sessions/${gone}` });
  const entries = await batch([
    { session: a, x: [[1]] },
    { session: 'AAAAAAAAAAAAAAAAAAAAAA', x: [[1]] },
    { session: gone, x: [[1]] },
    { session: b, x: [[1, 2]] },
    { session: b, x: [[1]], if_match: '"another.0"' },
    { session: b, x: [[1]], model: 'sunspots' },
    { session: b, x: [[1]], colour: 'red' },
    { x: [[1]] },
    { session: b, x: [[1]], key: 'a b' },
    { session: b, x: 'text' },
    { session: b },
    { session: 5, x: [[1]] },
    { session: b, x: [[1]], id: {} },
    { session: b, x: [[1]], key: 5 },
    { session: b, x: [[1]], if_match: null },
    { session: b, x: [[1], [2, 3]] },
    5,
    null,
    [],
    { session: b, x: [[2]] },
  ]);
  expect(entries.map(({ status, error }) => error?.code ?? status)).toEqual([
    200, 'session_not_found', 'session_gone', 'shape_mismatch', 'step_conflict', 'invalid_request', 'invalid_request',
    'invalid_request', 'invalid_request', 'invalid_request', 'invalid_request', 'invalid_request', 'invalid_request',
    'invalid_request', 'invalid_request', 'ragged_array', 'invalid_request', 'invalid_request', 'invalid_request', 200,
  ]);
  for (const { status, error } of entries) if (error) expect([status >= 400, error.applied]).toEqual([true, 'no']);
  expect(new Set(entries.map(({ error }) => error?.instance)).size).toBe(19);
  // Of b only the last was applied.
  expect(entries.at(-1)!.session!.t).toBe(1);
});

test('items of one session are applied in their order, and `previous` is the one before', async () => {
  const [a, b] = [await sessionOf(app), await sessionOf(other)];
  const xs = Array.from({ length: 40 }, (_, k) => Math.sin(k));
  const [first, ...rest] = xs.map((x, k) => ({ session: a, x: [[x]], ...(k > 0 && { if_match: 'previous' }) }));
  const entries = await batch([first!, ...rest]);
  const { body } = await other.post('/v1/sequence', { session: b, x: xs.map((x) => [[x]]) });
  expect(entries.map(({ h }) => h)).toEqual(body.hs);
  const refused = await batch([
    { session: a, x: [[1, 2]] },
    { session: a, x: [[1]], if_match: 'previous' },
    { session: a, x: [[1]] },
    { session: a, x: [[1]], if_match: 'previous' },
  ]);
  expect(refused.map(({ status, error }) => error?.code ?? status)).toEqual(['shape_mismatch', 'step_conflict', 200, 200]);
});

test('all entries together have no more numbers than an answer may have: an item beyond them is refused, and not applied', async () => {
  // hs and h of three steps: 8 numbers of an item.
  const small = await buildApp({ ANSWER_NUMBERS_MAX: '20' });
  const [a, b, c] = [await sessionOf(small), await sessionOf(small), await sessionOf(small)];
  const x = [[[1]], [[2]], [[3]]];
  for (const inFile of [false, true]) {
    const payload = { items: [a, b, c].map((session) => ({ session, x })) };
    const headers = { 'content-type': 'application/json', accept: inFile ? FILE : 'application/json' };
    const response = await small.http.inject({ method: 'POST', url: '/v1/batch', headers, payload });
    expect(response.statusCode).toBe(200);
    const entries: Entry[] = inFile
      ? JSON.parse(readSafetensorsFile(response.rawPayload, () => true).metadata['items']!)
      : response.json().items;
    // They are computed side by side: which of them is the last is not said.
    expect(entries.map(({ status }) => status).toSorted((one, two) => one - two)).toEqual([200, 200, 422]);
    expect(entries.find(({ error }) => error)!.error).toMatchObject({ code: 'limit_exceeded', applied: 'no', detail: expect.stringMatching(/has 8 numbers, and 4 are left of the 20/) });
  }
  const read = async (id: string) => (await small.http.inject(`/v1/sessions/${id}`)).json().t as number;
  expect((await read(a)) + (await read(b)) + (await read(c))).toBe(4 * 3);
  // Of a batch of its own it is answered.
  expect((await batch([{ session: c, x }], small))[0]!.status).toBe(200);
});

test('an item that is printed and then not committed leaves its numbers to the others', async () => {
  let failing = '';
  class FullStore extends MemoryStore {
    override change(...args: Parameters<MemoryStore['change']>) {
      if (args[0] === failing) throw new CarryoverError('store_full', { detail: 'full', applied: 'no' });
      return super.change(...args);
    }
  }
  const small = await buildApp({ ANSWER_NUMBERS_MAX: '8' }, { store: new FullStore(1e9) });
  const session = await sessionOf(small);
  const [other, x] = [await sessionOf(small), [[[1]], [[2]], [[3]]]];
  failing = session;
  const first = await batch([{ session, x }, { session, x }, { session, x }], small);
  expect(first.map(({ error }) => error?.code)).toEqual(['store_full', 'store_full', 'store_full']);
  failing = '';
  expect((await batch([{ session, x }, { session: other, x }], small)).map(({ status }) => status).toSorted((one, two) => one - two)).toEqual([200, 422]);
});

test('items with keys count once, in whatever batch they come again', async () => {
  const [a, b] = [await sessionOf(app), await sessionOf(app)];
  const items = [
    { session: a, x: [[1]], key: 'a-1' },
    { session: b, x: [[2]], key: 'b-1' },
    { session: a, x: [[3]], key: 'a-2' },
  ];
  const first = await batch(items);
  const again = await batch(items.toReversed());
  for (const [k, entry] of again.toReversed().entries()) {
    expect(entry.replayed).toBe(true);
    expect(entry.h).toEqual(first[k]!.h);
    expect(entry.session!.etag).toBe(first[k]!.session!.etag);
  }
  // So long that the numbers are read by the kernel, and another x with the same key.
  const long = Array.from({ length: 200 }, () => ({ session: b, x: [[Math.PI]] }));
  const mixed = await batch([items[0]!, { ...items[1]!, x: [[2.5]] }, ...long]);
  expect(mixed[0]!.replayed).toBe(true);
  expect(mixed[1]!.error!.code).toBe('idempotency_key_reused');
  expect(mixed.at(-1)!.session!.t).toBe(201);
});

test('as many keys of a session as it remembers are taken, and no more', async () => {
  const a = await sessionOf(app);
  const items = Array.from({ length: 70 }, (_, k) => ({ session: a, x: [[k]], key: `k-${k}` }));
  const refused = Array.from({ length: 6 }, () => ['invalid_request', 'no']);
  for (const isAgain of [false, true]) {
    const entries = await batch(items);
    expect(entries.slice(64).map(({ error }) => [error!.code, error!.applied])).toEqual(refused);
    expect(entries.slice(0, 64).map(({ status, replayed = false }) => [status, replayed])).toEqual(items.slice(0, 64).map(() => [200, isAgain]));
  }
  expect((await app.http.inject(`/v1/sessions/${a}`)).json().t).toBe(64);
});

test('random batches leave all sessions as the same calls do one by one', async () => {
  const item = fc.record({ session: fc.nat({ max: 4 }), steps: fc.integer({ min: 1, max: 3 }), seed: fc.nat({ max: 1_000 }), isWrong: fc.nat({ max: 9 }) });
  await fc.assert(
    fc.asyncProperty(fc.array(item, { minLength: 1, maxLength: 60 }), async (choices) => {
      const pairs = await Promise.all(Array.from({ length: 5 }, async () => [await sessionOf(app), await sessionOf(other)] as const));
      const inputs = choices.map(({ session, steps, seed, isWrong }) => {
        const row = (t: number) => (isWrong === 0 ? [seed, t] : [Math.fround(Math.sin(seed + t))]);
        return { session, x: steps === 1 ? [row(0)] : Array.from({ length: steps }, (_, t) => [row(t)]), steps };
      });
      const entries = await batch(inputs.map(({ session, x }) => ({ session: pairs[session]![0], x })));
      for (const [k, { session, x, steps }] of inputs.entries()) {
        const { status, body } = await other.post(steps === 1 ? '/v1/step' : '/v1/sequence', { session: pairs[session]![1], x });
        expect([entries[k]!.status, entries[k]!.h, entries[k]!.session?.digest]).toEqual([status, body.h, body.session?.digest]);
      }
    }),
    { numRuns: sized({ short: 3, long: 8 }) },
  );
});

describe('other forms of the body', () => {
  const inject = (type: string, payload: string | Buffer, accept?: string) =>
    app.http.inject({ method: 'POST', url: '/v1/batch', headers: { 'content-type': type, ...(accept && { accept }) }, payload });

  test('lines of JSON, of which one that cannot be read is alone in it', async () => {
    const [a, b] = [await sessionOf(app), await sessionOf(app)];
    const lines = [`{"session":"${a}","x":[[1]],"id":1}`, '{"session":', '', `{"session":"${b}","x":[[1]]}`, '[1]'];
    const response = await inject(NDJSON, `${lines.join('\r\n')}\n`);
    expect(response.headers['content-type']).toBe(NDJSON);
    const entries = response.body.trimEnd().split('\n').map((line) => JSON.parse(line) as Entry);
    expect(entries.map(({ status, error }) => error?.code ?? status)).toEqual([200, 'malformed_json', 200, 'invalid_request']);
    // It could not be read, so it is not known whether it came before.
    expect(entries[1]!.error!.applied).toBe('unknown');
    const json = await inject(NDJSON, `{"session":"${a}","x":[[0]]}`, 'application/json');
    expect(json.json().items[0].session.t).toBe(2);
  });

  test('a safetensors file', async () => {
    const [a, b] = [await sessionOf(app), await sessionOf(app, STACK)];
    const [c, d] = [await sessionOf(other), await sessionOf(other, STACK)];
    const view = (shape: number[], ...numbers: number[]) => ({ shape, strides: shape.length === 2 ? [shape[1]!, 1] : [1], data: Float32Array.from(numbers) });
    const items = [{ session: a, id: 'a', key: 'k' }, { session: b }, { session: 'AAAAAAAAAAAAAAAAAAAAAA' }];
    const file = writeSafetensors({ '0.x': view([1, 1], 0.5), '1.x': view([1], 2), '2.x': view([1], 0) }, { items: JSON.stringify(items) });
    const response = await inject(FILE, file);
    expect(response.headers['content-type']).toBe(FILE);
    const { tensors, metadata } = readSafetensorsFile(response.rawPayload);
    const entries = JSON.parse(metadata.items!) as Entry[];
    expect(entries.map(({ id, status }) => [id, status])).toEqual([['a', 200], [undefined, 200], [undefined, 404]]);
    const steps = [await other.post('/v1/step', { session: c, x: [[0.5]] }), await other.post('/v1/step', { session: d, x: [2] })];
    expect([...tensors.keys()].toSorted()).toEqual(['0.h', '1.c', '1.h', '1.y']);
    expect([...tensors.get('0.h')!.data]).toEqual(steps[0]!.body.h.flat().map(Math.fround));
    for (const name of ['h', 'c', 'y']) expect([...tensors.get(`1.${name}`)!.data]).toEqual(steps[1]!.body[name].flat().map(Math.fround));
    const again = await inject(FILE, file, 'application/json');
    expect(again.json().items[0].replayed).toBe(true);
  });

  test.each([
    ['no items', 'application/json', '{"items":[]}'],
    ['too many items', 'application/json', JSON.stringify({ items: Array.from({ length: 257 }, () => ({})) })],
    ['too many lines', NDJSON, '{}\n'.repeat(257)],
    ['no lines', NDJSON, '\n\r\n'],
    ['an item and millions of empty lines', NDJSON, `{}${'\n'.repeat(10_000_000)}`],
    ['a file with a second name of a tensor', FILE, writeSafetensors({ '00.x': { shape: [1], strides: [1], data: new Float32Array(1) } }, { items: '[{}]' })],
    ['no JSON', 'application/json', '{"items":[{]}'],
    ['another field', 'application/json', '{"items":[{}],"x":[[1]]}'],
    ['a file without items', FILE, writeSafetensors({}, {})],
    ['a file with a tensor of no item', FILE, writeSafetensors({ '1.x': { shape: [1], strides: [1], data: new Float32Array(1) } }, { items: '[{}]' })],
    ['a file whose items are no array', FILE, writeSafetensors({}, { items: '{"a":1}' })],
    ['a file with other metadata', FILE, writeSafetensors({}, { items: '[{}]', session: 'x' })],
  ])('%s: all are refused', async (_, type, payload) => {
    const response = await inject(type, payload);
    expect(response.statusCode).toBe(400);
    expect(response.json().applied).toMatch(/no|unknown/);
  });

  test('a field that no item has is refused with those that it may have', async () => {
    const session = await sessionOf(app);
    const [step, sequence] = await batch([{ session, x: [[1]], foo: 1 }, { session, x: [[[1]]], '~a': 1 }]);
    expect(step!.error).toMatchObject({ detail: '/foo is not a known field; expected session, id, key, if_match, x, trace.', applied: 'no' });
    expect(sequence!.error?.detail).toMatch(/^\/~a is not a known field; expected session, id, key, if_match, x, lengths, layout, outputs, trace\.$/);
  });

  test('more items than there may be are called so, also where each has a tensor', async () => {
    const detailOf = async (item: object) => (await inject('application/json', JSON.stringify({ items: Array.from({ length: 257 }, () => item) }))).json().detail;
    expect(await detailOf({})).toBe('/items must have at most 256 elements, got 257.');
    expect(await detailOf({ x: [Array.from({ length: 64 }, (_, k) => k / 7)] })).toMatch(/256 (elements|tensors, one for each item of a batch)/);
  });

  test('headers that belong to one change have no meaning here', async () => {
    const headers = { 'content-type': 'application/json', 'idempotency-key': 'k' };
    const response = await app.http.inject({ method: 'POST', url: '/v1/batch', headers, payload: '{"items":[{}]}' });
    expect(response.statusCode).toBe(400);
    expect(response.json().detail).toContain('idempotency-key');
  });
});

test('a session of another tenant is absent, and a key needs both scopes', async () => {
  const keys = makeKeys();
  const [mine, theirs, computeOnly] = [keys.add('a'), keys.add('b'), keys.add('a', ['compute'])];
  const { http } = await buildApp({ API_KEYS_FILE: keys.path });
  const call = (key: string, url: string, payload: object) =>
    http.inject({ method: 'POST', url, headers: { authorization: `Bearer ${key}` }, payload });
  const { id } = (await call(mine, '/v1/sessions', { weights: TANH })).json<{ id: string }>();
  const items = [{ session: id, x: [[1]] }];
  expect((await call(theirs, '/v1/batch', { items })).json().items[0].error.code).toBe('session_not_found');
  expect((await call(computeOnly, '/v1/batch', { items })).statusCode).toBe(403);
  expect((await call(mine, '/v1/batch', { items })).json().items[0].session.t).toBe(1);
});

test('its memory is free afterwards', async () => {
  const a = await sessionOf(app);
  await batch([{ session: a, x: [[1]] }]);
  const bytes = app.memory.bytesUsed;
  await batch(Array.from({ length: 256 }, () => ({ session: a, x: [[0.123456789]] })));
  expect(app.memory.bytesUsed).toBe(bytes);
});

test('the log says how many items there were, and names those that failed without the ids of their sessions', async () => {
  const lines: Record<string, unknown>[] = [];
  const logged = await buildApp({}, { logger: createLogger('info', { write: (line) => void lines.push(JSON.parse(line)) }) });
  const session = await sessionOf(logged);
  await batch([{ session, x: [[1]] }, { session, x: [[1, 2]] }, { x: [[1]] }, ...Array.from({ length: 12 }, () => ({ session, x: 1 }))], logged);
  const { failed, items, failures } = lines.find(({ msg }) => msg === 'batch') as { failed: number; items: number; failures: object[] };
  expect([items, failed, failures.length]).toEqual([15, 14, 10]);
  expect(failures).toContainEqual({ session: sessionHash(session), code: 'shape_mismatch' });
  expect(failures).toContainEqual({ code: 'invalid_request' });
  expect(JSON.stringify(lines)).not.toContain(session);
});
