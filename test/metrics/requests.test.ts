// What is counted of requests, however they end, and that no client can add to the values of labels.
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { ERRORS } from '../../src/error-kinds.ts';
import { LIMIT_KINDS } from '../../src/limits/tenant-usage.ts';
import { METRICS } from '../../src/metrics/catalogue.ts';
import { buildApp } from '../helpers/app.ts';
import { runs } from '../helpers/long.ts';
import { readMetrics, sumOf } from '../helpers/prometheus.ts';
import { RawClient } from '../helpers/raw-client.ts';
import { requestText } from '../helpers/request-text.ts';
import { fc } from '../helpers/seed.ts';

const JSON_TYPE = { 'content-type': 'application/json' };
const WEIGHTS = { W_x: [[0.5]], W_h: [[0.8]] };
const STEP = JSON.stringify({ weights: WEIGHTS, x: [[1], [2], [3]] });

const app = await buildApp({ METRICS_PORT: '9464' });
const url = await app.http.listen({ port: 0, host: '127.0.0.1' });
const { port } = new URL(url);
const print = () => app.metrics!.print();

const post = async (path: string, body: string, headers = {}) => {
  const response = await fetch(`${url}${path}`, { method: 'POST', headers: { ...JSON_TYPE, ...headers }, body });
  await response.arrayBuffer();
  return response;
};

/** By how much the sum of some samples is larger after `act`; a request is counted just after its answer was sent. */
async function growth(name: string, labels: Record<string, string>, by: number, act: () => Promise<unknown>) {
  const before = sumOf(await print(), name, labels);
  await act();
  await expect.poll(async () => sumOf(await print(), name, labels) - before, { timeout: 10_000 }).toBe(by);
}

describe('requests', () => {
  const requests = METRICS.requests.name;

  test('a request is counted by route, method and class of status', async () => {
    await growth(requests, { route: '/v1/step', method: 'POST', status: '2xx' }, 2, async () => {
      await post('/v1/step', STEP);
      await post('/v1/step', STEP);
    });
    await growth(requests, { route: '/v1/step', method: 'POST', status: '4xx' }, 1, () => post('/v1/step', '{'));
    await growth(requests, { route: '/v1/sessions/:id', method: 'GET', status: '4xx' }, 1, () =>
      fetch(`${url}/v1/sessions/${'a'.repeat(22)}`),
    );
  });

  test.each([
    ['an address that is not served', requestText('GET', '/nowhere'), 'GET'],
    ['a malformed path', requestText('GET', '/v1/%'), 'GET'],
    ['bytes that are no request', 'NONSENSE / HTTP/1.1\r\n\r\n', 'other'],
    ['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', 'other'],
  ])('%s is counted without a route', async (_, bytes, method) => {
    await growth(requests, { route: 'none', method, status: '4xx' }, 1, async () => {
      const client = new RawClient(Number(port), bytes);
      await client.answer();
      client.socket.destroy();
    });
  });

  test('a request whose client leaves is counted', async () => {
    await growth(requests, { route: '/v1/step', method: 'POST', status: 'unanswered' }, 1, async () => {
      const head = requestText('POST', '/v1/step', { ...JSON_TYPE, 'content-length': 100 }, '{');
      const client = new RawClient(Number(port), head);
      await once(client.socket, 'connect');
      await expect.poll(async () => sumOf(await print(), METRICS.bodyBytes.name)).toBeGreaterThan(0);
      client.socket.resetAndDestroy();
    });
    expect(sumOf(await print(), METRICS.bodyBytes.name)).toBe(0);
  });

  test('a stream is counted when it has ended, with its parts', async () => {
    const body = JSON.stringify({ weights: WEIGHTS, x: [[[1]], [[2]]] });
    await growth(METRICS.partSeconds.name + '_count', { part: 'compute' }, 1, () =>
      growth(requests, { route: '/v1/sequence', method: 'POST', status: '2xx' }, 1, () =>
        post('/v1/sequence', body, { accept: 'application/x-ndjson' }),
      ),
    );
  });

  test('a WebSocket is open while it is, is counted as 1xx, and its messages by outcome', async () => {
    const created = await post('/v1/sessions', JSON.stringify({ weights: WEIGHTS }));
    const path = `${created.headers.get('location')}/stream`;
    const labels = { route: '/v1/sessions/:id/stream', method: 'GET', status: '1xx' };
    const messages = METRICS.messageSeconds.name + '_count';
    await growth(requests, labels, 1, async () => {
      const socket = new WebSocket(`${url.replace('http', 'ws')}${path}`);
      await once(socket, 'message');
      expect(sumOf(await print(), METRICS.sockets.name)).toBe(1);
      for (const [outcome, message] of [['answered', '{"x":[[1]]}'], ['refused', '{']] as const) {
        await growth(messages, { outcome }, 1, async () => {
          socket.send(message);
          await once(socket, 'message');
        });
      }
      socket.close();
    });
    expect(sumOf(await print(), METRICS.sockets.name)).toBe(0);
    expect(sumOf(await print(), METRICS.requestSeconds.name + '_count', { route: labels.route })).toBe(0);
  });

  test('a request that computes has its parts, and its rows', async () => {
    const count = METRICS.partSeconds.name + '_count';
    for (const part of ['read', 'queue', 'compute', 'print']) {
      await growth(count, { part }, 1, () => post('/v1/step', STEP));
    }
    await growth(METRICS.rows.name + '_sum', {}, 3, () => post('/v1/step', STEP));
    await growth(count, { part: 'commit' }, 0, () => post('/v1/step', STEP));
    const seconds = sumOf(await print(), METRICS.partSeconds.name + '_sum', { part: 'compute' });
    expect(seconds).toBeGreaterThan(0);
    expect(seconds).toBeLessThan(10);
  });

  test('work that a worker does waits in the queue, and the parts are together no longer than the request', async () => {
    const [N, H] = [64, 64];
    const rows = (n: number, m: number) => Array.from({ length: n }, () => Array<number>(m).fill(0.01));
    const body = JSON.stringify({ weights: { W_x: rows(1, H), W_h: rows(H, H) }, x: Array(50).fill(rows(N, 1)) });
    const seconds = async () => {
      const text = await print();
      const parts = sumOf(text, METRICS.partSeconds.name + '_sum');
      return { parts, all: sumOf(text, METRICS.requestSeconds.name + '_sum') };
    };
    const before = await seconds();
    await growth(METRICS.requestSeconds.name + '_count', { route: '/v1/sequence' }, 3, () =>
      Promise.all([1, 2, 3].map(() => post('/v1/sequence', body))),
    );
    const after = await seconds();
    expect(sumOf(await print(), METRICS.partSeconds.name + '_sum', { part: 'queue' })).toBeGreaterThan(0);
    expect(after.parts - before.parts).toBeLessThan(after.all - before.all);
  });

  test('an error is counted by its code', async () => {
    await growth(METRICS.errors.name, { code: 'shape_mismatch' }, 1, () =>
      post('/v1/step', JSON.stringify({ weights: WEIGHTS, x: [[1, 2]] })),
    );
    await growth(METRICS.errors.name, { code: 'not_found' }, 1, () => fetch(`${url}/nowhere`));
    await growth(METRICS.errors.name, { code: 'headers_too_large' }, 1, async () => {
      await new RawClient(Number(port), requestText('GET', '/', { a: 'b'.repeat(32_768) })).answer();
    });
  });
});

describe('labels', () => {
  /** All values that each label may ever have; those of `le` are the bounds of the histograms. */
  const LISTS: Record<string, readonly string[]> = {
    method: ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'other'],
    status: ['unanswered', '1xx', '2xx', '3xx', '4xx', '5xx'],
    part: ['read', 'queue', 'compute', 'commit', 'print'],
    code: Object.keys(ERRORS),
    limit: LIMIT_KINDS,
    outcome: ['answered', 'refused', 'imported', 'failed', 'exported', 'dropped'],
    kind: ['registered', 'cached', 'used', 'grown', 'limit'],
    reason: ['expired', 'deleted'],
    quantile: ['0.5', '0.9', '0.99', '1'],
    format: ['safetensors', 'torch', 'onnx', 'keras', 'other'],
    operation: 'create change writeTombstone read due postpone forget list count secret put get remove collect ids point unpoint names revision'.split(' '),
  };

  test('whatever clients send as paths, methods, names and ids, no value is theirs', async () => {
    const text = fc.string({ maxLength: 30 }).map((raw) => encodeURIComponent(raw));
    const path = fc.oneof(
      text.map((name) => `/${name}`),
      text.map((id) => `/v1/sessions/${id}`),
      text.map((name) => `/v1/models/${name}`),
      text.map((name) => `/docs/static/${name}`),
      text.map((name) => `/v1/step?${name}=${name}`),
    );
    const method = fc.constantFrom('GET', 'HEAD', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND', 'M-SEARCH', 'LOCK');
    await fc.assert(
      fc.asyncProperty(method, path, text, async (verb, address, name) => {
        const headers = { 'x-session-id': name, 'idempotency-key': name, 'x-forwarded-for': name, connection: 'close' };
        const client = new RawClient(Number(port), requestText(verb, address, headers));
        await client.closedWithin(30_000);
      }),
      { numRuns: runs(60) },
    );
    await post(`/v1/models?name=mine`, JSON.stringify({ weights: WEIGHTS }));
    await post('/v1/step', JSON.stringify({ model: 'mine', x: [[1]] }));
    const printed = await print();
    const routes = app.http.printRoutes({ commonPrefix: false });
    for (const { name, labels } of readMetrics(printed).filter((sample) => sample.name.startsWith('carryover_'))) {
      for (const [label, value] of Object.entries(labels)) {
        if (label === 'le') continue;
        if (label === 'route') expect(value === 'none' || isPattern(value), `${value} in ${routes}`).toBe(true);
        else expect(LISTS[label], `${name} ${label}`).toContain(value);
      }
    }
    expect(printed).not.toMatch(/mine"|sha256/);
  });

  /** Patterns are what routes were registered with: app.hasRoute() knows no other. */
  function isPattern(route: string): boolean {
    return ['GET', 'POST', 'PUT', 'DELETE', 'HEAD'].some((method) => app.http.hasRoute({ method, url: route }));
  }
});
