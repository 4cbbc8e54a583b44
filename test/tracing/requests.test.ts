// Traces of requests, as a collector receives them.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { CarryoverError } from '../../src/errors.ts';
import { sessionHash } from '../../src/session-hash.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import { readTraceparent } from '../../src/trace-context.ts';
import { buildApp } from '../helpers/app.ts';
import { sample } from '../helpers/long.ts';
import { type ReceivedSpan, startOtlpReceiver } from '../helpers/otlp-receiver.ts';
import { eventually } from '../helpers/raw-client.ts';
import { StreamClient } from '../helpers/stream-client.ts';

const WEIGHTS = { W_x: [[0.5]], W_h: [[0.8]] };
const STEP = { weights: WEIGHTS, x: [[1]] };
const CALLER = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7' };
const TRACEPARENT = `00-${CALLER.traceId}-${CALLER.spanId}-01`;
const WAIT_MS = 15_000;
const INTERNAL = 1;
const SERVER = 2;

const folder = mkdtempSync(join(tmpdir(), 'carryover-tracing-'));
afterAll(() => rmSync(folder, { recursive: true }));

const collector = await startOtlpReceiver();
const EXPORT = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: '20' };
const app = await buildApp({
  ...EXPORT,
  STORE_URL: `sqlite:${join(folder, 'store.sqlite')}`,
});
const url = await app.http.listen({ host: '127.0.0.1', port: 0 });

const post = async (path: string, body: unknown, headers: Record<string, string> = {}, base = url) => {
  const response = await fetch(`${base}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  const text = await response.text();
  return { response, text, trace: readTraceparent(response.headers.get('traceparent') ?? undefined)! };
};

const rootOf = (spans: readonly ReceivedSpan[], traceId: string) =>
  spans.find((span) => span.traceId === traceId && span.kind === SERVER && span.name !== 'message');

/** The spans of a trace, once the one of its request has arrived: it is sent with those of its parts, or before. */
async function spansOf({ traceId }: { readonly traceId: string }, parts: number): Promise<ReceivedSpan[]> {
  const found = () => collector.spans.filter((span) => span.traceId === traceId);
  await eventually(() => rootOf(collector.spans, traceId) !== undefined && found().length > parts, WAIT_MS);
  return found();
}

/** Each part of the request is a child of its span or of another part, and within it in time. */
function expectTree(spans: readonly ReceivedSpan[], root: ReceivedSpan): void {
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  expect(byId.size).toBe(spans.length);
  for (const span of spans) {
    expect(span.end).toBeGreaterThanOrEqual(span.start);
    if (span === root) continue;
    const parent = byId.get(span.parentSpanId)!;
    expect(parent, `the parent of ${span.name}`).toBeDefined();
    expect(span.start).toBeGreaterThanOrEqual(parent.start);
    expect(span.end).toBeLessThanOrEqual(parent.end);
    expect(span.kind).toBe(INTERNAL);
  }
}

const namesOf = (spans: readonly ReceivedSpan[]) => spans.map(({ name }) => name).toSorted((a, b) => (a < b ? -1 : 1));

describe('a request', () => {
  test('without a caller begins a trace, which its answer names', async () => {
    const beforeNs = BigInt(Date.now()) * 1_000_000n;
    const { response, trace } = await post('/v1/step', STEP);
    expect(response.status).toBe(200);
    const spans = await spansOf(trace, 3);
    const root = rootOf(spans, trace.traceId)!;
    expect(namesOf(spans)).toEqual(['POST /v1/step', 'compute', 'print', 'read']);
    expectTree(spans, root);
    expect(root).toMatchObject({ spanId: trace.spanId, parentSpanId: '', kind: SERVER, status: 0 });
    expect(root.attributes).toEqual({
      'http.request.method': 'POST',
      'url.scheme': 'http',
      'http.route': '/v1/step',
      'url.path': '/v1/step',
      'http.response.status_code': 200,
      'carryover.N': 1,
      'carryover.T': 1,
      'carryover.model': expect.stringMatching(/^sha256:[0-9a-f]{12}$/),
    });
    const second = 1_000_000_000n;
    expect(root.start).toBeGreaterThan(beforeNs - second);
    expect(root.end).toBeLessThan(BigInt(Date.now()) * 1_000_000n + second);
    expect(collector.resource).toMatchObject({ 'service.name': 'carryover', 'telemetry.sdk.language': 'nodejs' });
  });

  test('with a caller is a child of its span, with its tracestate', async () => {
    const headers = { traceparent: TRACEPARENT, tracestate: 'vendor=abc,other=1' };
    const { trace } = await post('/v1/sequence', { weights: WEIGHTS, x: [[[1]], [[2]]] }, headers);
    expect(trace.traceId).toBe(CALLER.traceId);
    expect(trace.spanId).not.toBe(CALLER.spanId);
    const root = rootOf(await spansOf(CALLER, 3), CALLER.traceId)!;
    expect(root).toMatchObject({ spanId: trace.spanId, parentSpanId: CALLER.spanId, traceState: 'vendor=abc,other=1' });
    expect(root.attributes).toMatchObject({ 'carryover.T': 2, 'http.route': '/v1/sequence' });
  });

  const members = (count: number) => Array.from({ length: count }, (_, k) => `k${k}=1`).join(',');

  test.each([
    ['members that are none', 'vendor=abc,NO,=,x', 'vendor=abc'],
    ['only such', ',,,', ''],
    ['more than 512 characters', `a=${'b'.repeat(511)}`, ''],
    ['more than 32 members', members(33), ''],
    ['32 members', members(32), members(32)],
  ])('whose tracestate has %s is served, and what is valid of it is kept', async (_, tracestate, kept) => {
    const { response, trace } = await post('/v1/step', STEP, { traceparent: TRACEPARENT, tracestate });
    expect(response.status).toBe(200);
    await eventually(() => collector.spans.some(({ spanId }) => spanId === trace.spanId), WAIT_MS);
    expect(collector.spans.find(({ spanId }) => spanId === trace.spanId)!.traceState).toBe(kept);
  });

  test('whose work waits for a worker has the waiting within the part that waits', async () => {
    const row = Array(64).fill(0.01);
    const body = { weights: { W_x: [row], W_h: Array.from({ length: 64 }, () => row) } };
    const x = Array.from({ length: 4_000 }, () => Array.from({ length: 16 }, () => [1]));
    const { response, trace } = await post('/v1/sequence', { ...body, x });
    expect(response.status).toBe(200);
    const spans = await spansOf(trace, 5);
    expectTree(spans, rootOf(spans, trace.traceId)!);
    const within = spans
      .filter(({ name }) => name === 'queue')
      .map(({ parentSpanId }) => spans.find(({ spanId }) => spanId === parentSpanId)!.name);
    expect(new Set(within)).toEqual(new Set(['read', 'compute', 'print']));
  });

  test('that is refused has the code of its error, and its problem the trace', async () => {
    const { response, text, trace } = await post('/v1/step', { weights: WEIGHTS, x: [[1, 2]] });
    expect(response.status).toBe(422);
    expect(JSON.parse(text)).toMatchObject({ code: 'shape_mismatch', trace_id: trace.traceId });
    const spans = await spansOf(trace, 1);
    const root = rootOf(spans, trace.traceId)!;
    expect(root.attributes).toMatchObject({ 'error.type': 'shape_mismatch', 'http.response.status_code': 422 });
    expect(root.status).toBe(0);
    // What was refused before it was computed is no computing.
    expect(namesOf(spans)).toEqual(['POST /v1/step', 'read']);
  });

  test('that no route answers, or that is refused before its first hook, has a span without a route', async () => {
    const absent = await post('/nowhere', {});
    expect((await spansOf(absent.trace, 0))[0]).toMatchObject({ name: 'POST' });
    const malformed = await post('/v1/%', {});
    expect(JSON.parse(malformed.text)).toMatchObject({ code: 'invalid_request', trace_id: malformed.trace.traceId });
    expect((await spansOf(malformed.trace, 0))[0]!.attributes).toMatchObject({ 'http.response.status_code': 400 });
  });

  test('about health begins no trace, and goes on with that of a caller', async () => {
    const { headers } = await fetch(`${url}/health/live`);
    expect(headers.has('traceparent')).toBe(false);
    const asked = await fetch(`${url}/health/live`, { headers: { traceparent: TRACEPARENT } });
    expect(readTraceparent(asked.headers.get('traceparent')!)).toMatchObject({ traceId: CALLER.traceId });
  });

  test('that the service fails to answer is an error', async () => {
    class FailingStore extends MemoryStore {
      override create(): Promise<never> {
        return Promise.reject(new CarryoverError('store_unavailable', { detail: 'gone', applied: 'no' }));
      }
    }
    const failing = await buildApp(EXPORT, { store: new FailingStore(1e6) });
    const base = await failing.http.listen({ host: '127.0.0.1', port: 0 });
    const { response, trace } = await post('/v1/sessions', { weights: WEIGHTS }, {}, base);
    expect(response.status).toBe(503);
    expect(response.headers.has('server-timing')).toBe(false);
    const root = rootOf(await spansOf(trace, 1), trace.traceId)!;
    expect(root).toMatchObject({ status: 2, attributes: { 'error.type': 'store_unavailable' } });
  });

  test('a stream has a span, of many chunks spans of the first', async () => {
    const x = Array.from({ length: 20_000 }, () => [[1]]);
    const { text, trace } = await post('/v1/sequence', { weights: WEIGHTS, x }, { accept: 'application/x-ndjson' });
    expect(text.trimEnd().split('\n').length).toBe(20_001);
    const spans = await spansOf(trace, 100);
    const root = rootOf(spans, trace.traceId)!;
    expectTree(spans, root);
    expect(spans.length).toBeLessThanOrEqual(129);
    expect(root.attributes['carryover.parts_without_span']).toBeGreaterThan(0);
    expect(root.attributes).not.toHaveProperty('carryover.unanswered');
  });
});

describe('a session', () => {
  const create = async () => {
    const created = await post('/v1/sessions', { weights: WEIGHTS });
    expect(created.response.status).toBe(201);
    return { id: JSON.parse(created.text).id as string, trace: created.trace };
  };
  const commitOf = (spans: readonly ReceivedSpan[]) => spans.find(({ name }) => name === 'commit')!;

  test('commits in a transaction that is linked to the request, and the request to it', async () => {
    const { id } = await create();
    const { trace } = await post('/v1/step', { session: id, x: [[1]] });
    const spans = await spansOf(trace, 4);
    const root = rootOf(spans, trace.traceId)!;
    expectTree(spans, root);
    expect(namesOf(spans)).toEqual(['POST /v1/step', 'commit', 'compute', 'print', 'read']);
    expect(root.attributes).toMatchObject({ 'carryover.session': sessionHash(id) });
    const [link] = commitOf(spans).links;
    const group = collector.spans.find(({ spanId }) => spanId === link!.spanId)!;
    expect(group).toMatchObject({ traceId: link!.traceId, parentSpanId: '', attributes: { 'db.system.name': 'sqlite' } });
    expect(group.traceId).not.toBe(trace.traceId);
    expect(group.links).toContainEqual({ traceId: trace.traceId, spanId: root.spanId });
    // The times of the store's thread are those of the main thread.
    expect(group.start).toBeGreaterThanOrEqual(commitOf(spans).start);
    expect(group.end).toBeLessThanOrEqual(commitOf(spans).end);
  });

  test('of concurrent requests on several sessions, one transaction is linked to all that it has committed', async () => {
    const sessions = await Promise.all(Array.from({ length: 6 }, async () => (await create()).id));
    let largest = 0;
    // While the store's thread is in one transaction, the changes that come are those of the next.
    for (let attempt = 0; attempt < 20 && largest < 2; attempt++) {
      const calls = await Promise.all(sessions.map((session) => post('/v1/step', { session, x: [[1]] })));
      const committed = await Promise.all(
        calls.map(async ({ trace: { traceId, spanId } }) => {
          const link = commitOf(await spansOf({ traceId }, 4)).links[0]!;
          return { request: { traceId, spanId }, group: link.spanId };
        }),
      );
      for (const [spanId, members] of Map.groupBy(committed, ({ group }) => group)) {
        const group = collector.spans.find((span) => span.spanId === spanId)!;
        expect(new Set(group.links)).toEqual(new Set(members.map(({ request }) => request)));
        expect(group.attributes['db.operation.batch.size']).toBeGreaterThanOrEqual(members.length);
        largest = Math.max(largest, members.length);
      }
    }
    expect(largest, 'each change was in a transaction of its own').toBeGreaterThanOrEqual(2);
  });

  test('its creation and its deletion are commits as well', async () => {
    const { id, trace } = await create();
    expect(commitOf(await spansOf(trace, 2)).links).toHaveLength(1);
    const response = await fetch(`${url}/v1/sessions/${id}`, { method: 'DELETE' });
    expect(response.status).toBe(204);
    const deletion = readTraceparent(response.headers.get('traceparent')!)!;
    const spans = await spansOf(deletion, 1);
    const root = rootOf(spans, deletion.traceId)!;
    expect(root.name).toBe('DELETE /v1/sessions/:id');
    expect(root.attributes).not.toHaveProperty('url.path');
    expect(commitOf(spans).links).toHaveLength(1);
  });

  test('of a store that commits each change by itself has a commit without a link', async () => {
    const alone = await buildApp(EXPORT);
    const base = await alone.http.listen({ host: '127.0.0.1', port: 0 });
    const created = await post('/v1/sessions', { weights: WEIGHTS }, {}, base);
    expect(commitOf(await spansOf(created.trace, 2)).links).toEqual([]);
  });

  test('the messages of a WebSocket are children of its handshake', async () => {
    const { id } = await create();
    const traceId = 'a'.repeat(32);
    const headers = { traceparent: `00-${traceId}-${CALLER.spanId}-01` };
    const { client } = await StreamClient.connect(`${url.replace('http', 'ws')}/v1/sessions/${id}/stream`, { headers });
    await client.ask({ x: [[1]] });
    const refused = await client.ask({ x: [[1, 2]] });
    expect(refused.error).toMatchObject({ code: 'shape_mismatch', trace_id: traceId });
    await client.close();
    const spans = await spansOf({ traceId }, 7);
    const root = rootOf(spans, traceId)!;
    expect(root).toMatchObject({ name: 'GET /v1/sessions/:id/stream', parentSpanId: CALLER.spanId });
    expect(root.attributes['http.response.status_code']).toBe(101);
    const messages = spans.filter(({ name }) => name === 'message');
    expect(messages).toHaveLength(2);
    for (const message of messages) {
      expect(message).toMatchObject({ parentSpanId: root.spanId, kind: SERVER });
      expect(message.start >= root.start && message.end <= root.end).toBe(true);
    }
    const partsOf = (message: ReceivedSpan) => spans.filter(({ parentSpanId }) => parentSpanId === message.spanId);
    expect(namesOf(partsOf(messages[0]!))).toEqual(['commit', 'compute', 'print', 'read']);
    expect(messages[1]!.attributes).toMatchObject({ 'error.type': 'shape_mismatch', 'carryover.session': sessionHash(id) });
  });

  test('the items of a batch are children of its request, and are committed together', async () => {
    const ids = await Promise.all(Array.from({ length: 3 }, async () => (await create()).id));
    const items = [...ids.map((session) => ({ session, x: [[1]] })), { session: ids[0], x: [[1, 2]] }];
    const { trace, text } = await post('/v1/batch', { items });
    expect(JSON.parse(text).items.map(({ status }: { status: number }) => status)).toEqual([200, 200, 200, 422]);
    // The request, reading it, four items, and three parts of each that was computed.
    const spans = await spansOf(trace, 14);
    const root = rootOf(spans, trace.traceId)!;
    const messages = spans.filter(({ name }) => name === 'message');
    expect(messages.map(({ attributes }) => attributes['carryover.session'])).toEqual(expect.arrayContaining(ids.map(sessionHash)));
    expect(messages.filter(({ attributes }) => attributes['error.type'] === 'shape_mismatch')).toHaveLength(1);
    const computed = messages.filter(({ attributes }) => attributes['error.type'] === undefined);
    for (const message of computed) {
      expect(message.parentSpanId).toBe(root.spanId);
      const parts = spans.filter(({ parentSpanId }) => parentSpanId === message.spanId);
      expect(namesOf(parts)).toEqual(['commit', 'compute', 'print']);
      const group = collector.spans.find(({ spanId }) => spanId === commitOf(parts).links[0]!.spanId)!;
      expect(group.links).toContainEqual({ traceId: trace.traceId, spanId: message.spanId });
    }
    expect(computed).toHaveLength(3);
  });

  test('what is sent has no id of a session, no key and no tensor', async () => {
    const { id } = await create();
    const key = 'key-that-is-secret';
    const x = 0.123456;
    const { trace } = await post('/v1/step', { session: id, x: [[x]] }, { 'idempotency-key': key });
    const got = await fetch(`${url}/v1/sessions/${id}?n=1`);
    const refused = readTraceparent(got.headers.get('traceparent')!)!;
    await spansOf(trace, 4);
    await spansOf(refused, 0);
    for (const secret of [id, key, String(x)]) expect(collector.text).not.toContain(secret);
    expect(collector.text).toContain(sessionHash(id));
  });
});

describe('sampling', () => {
  const NOT_SAMPLED = TRACEPARENT.replace(/01$/, '00');

  test.each(sample<readonly [string, string, string | undefined, boolean]>([
    ['parentbased_always_on', '1', undefined, true],
    ['parentbased_always_on', '1', NOT_SAMPLED, false],
    ['parentbased_always_off', '1', undefined, false],
    ['parentbased_always_off', '1', TRACEPARENT, true],
    ['parentbased_traceidratio', '0', undefined, false],
    ['parentbased_traceidratio', '0', TRACEPARENT, true],
    ['traceidratio', '1', NOT_SAMPLED, true],
    ['traceidratio', '0', TRACEPARENT, false],
    ['always_on', '1', NOT_SAMPLED, true],
    ['always_off', '1', TRACEPARENT, false],
  ], 3))('%s, %s, from %s: %s', async (sampler, ratio, traceparent, isSampled) => {
    const own = await startOtlpReceiver();
    const sampled = await buildApp({
      OTEL_EXPORTER_OTLP_ENDPOINT: `${own.url}/`,
      OTEL_TRACES_SAMPLER: sampler,
      OTEL_TRACES_SAMPLER_ARG: ratio,
    });
    const response = await sampled.http.inject({ url: '/v1/models', headers: traceparent ? { traceparent } : {} });
    const trace = readTraceparent(response.headers.traceparent as string)!;
    expect(trace.flags & 1).toBe(isSampled ? 1 : 0);
    if (traceparent) expect(trace.traceId).toBe(CALLER.traceId);
    // The end of the service sends what is left.
    await sampled.close();
    expect(own.spans.map(({ spanId }) => spanId)).toEqual(isSampled ? [trace.spanId] : []);
  });

  test('of the traces that begin here, the part that is wanted is sampled', async () => {
    const half = await buildApp({
      ...EXPORT,
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.5',
    });
    const flags = await Promise.all(
      Array.from({ length: 400 }, async () => {
        const { headers } = await half.http.inject('/v1/models');
        return readTraceparent(headers.traceparent as string)!.flags & 1;
      }),
    );
    const sampled = flags.filter(Boolean).length;
    // Outside with a probability of 1e-9.
    expect(sampled).toBeGreaterThan(140);
    expect(sampled).toBeLessThan(260);
  });
});
