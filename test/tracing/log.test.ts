// The trace of a request in every line that is logged of it, in its problem and in its answer; with a collector and without.
import { describe, expect, test } from 'vitest';
import { createLogger } from '../../src/logging.ts';
import { buildApp } from '../helpers/app.ts';
import { startOtlpReceiver } from '../helpers/otlp-receiver.ts';
import { RawClient, eventually } from '../helpers/raw-client.ts';
import { requestText } from '../helpers/request-text.ts';
import { StreamClient } from '../helpers/stream-client.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const TRACEPARENT = `00-${TRACE}-00f067aa0ba902b7-01`;
const WEIGHTS = { W_x: [[0.5]], W_h: [[0.8]] };
const WAIT_MS = 10_000;

async function service(environment: Record<string, string> = {}) {
  const lines: Record<string, unknown>[] = [];
  const audit: Record<string, unknown>[] = [];
  const loggerTo = (target: Record<string, unknown>[]) =>
    createLogger('info', { write: (line) => void target.push(JSON.parse(line)) });
  const app = await buildApp(environment, { logger: loggerTo(lines), auditLogger: loggerTo(audit) });
  const url = await app.http.listen({ host: '127.0.0.1', port: 0 });
  /** The addresses of requests whose heads have arrived. */
  const begun: (string | undefined)[] = [];
  app.http.server.on('request', (request) => begun.push(request.url));
  const isOfRequest = (line: Record<string, unknown>) => 'reqId' in line || line.msg === 'request';
  /** The lines of the requests that `act` sends, when `count` of them have ended. */
  const linesOf = async (count: number, act: () => Promise<unknown>) => {
    lines.length = 0;
    begun.length = 0;
    await act();
    await eventually(() => lines.filter(({ msg }) => msg === 'request').length === count, WAIT_MS);
    return lines.filter(isOfRequest);
  };
  const post = (path: string, body: string, headers = {}) =>
    fetch(`${url}${path}`, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body });
  return { url, port: Number(new URL(url).port), begun, linesOf, audit, post };
}

describe('without a collector', async () => {
  const { url, port, begun, linesOf, audit, post } = await service();

  test("the caller's trace is in every line, in the problem, and passed on as it came", async () => {
    let response: Response | undefined;
    const lines = await linesOf(1, async () => {
      response = await post('/v1/step', '{', { traceparent: TRACEPARENT });
    });
    expect(response!.headers.get('traceparent')).toBe(TRACEPARENT);
    expect(await response!.json()).toMatchObject({ code: 'malformed_json', trace_id: TRACE });
    expect(lines.map(({ msg, trace_id }) => ({ msg, trace_id }))).toEqual([
      { msg: 'request refused', trace_id: TRACE },
      { msg: 'request', trace_id: TRACE },
    ]);
  });

  test.each([
    ['none', {}],
    ['an invalid one', { traceparent: TRACEPARENT.toUpperCase() }],
    ['an overlong one', { traceparent: `${TRACEPARENT}-${'a'.repeat(5_000)}` }],
    ['a tracestate alone', { tracestate: 'a=b' }],
  ])('with %s there is no trace', async (_, headers) => {
    let response: Response | undefined;
    const lines = await linesOf(1, async () => {
      response = await post('/v1/step', '{', headers);
    });
    expect(response!.status).toBe(400);
    expect(response!.headers.has('traceparent')).toBe(false);
    expect(await response!.json()).not.toHaveProperty('trace_id');
    for (const line of lines) expect(line).not.toHaveProperty('trace_id');
  });

  test('two headers are as none', async () => {
    const text = requestText('GET', '/v1/models', { traceparent: `${TRACEPARENT}\r\ntraceparent: ${TRACEPARENT}` });
    const lines = await linesOf(1, async () => {
      const client = new RawClient(port, text);
      const { status, headers } = await client.answer();
      expect(status).toBe(200);
      expect(headers).not.toHaveProperty('traceparent');
      client.socket.destroy();
    });
    expect(lines[0]).not.toHaveProperty('trace_id');
  });

  test('a request that is not served, as the one before it was not answered, is logged with it', async () => {
    const lines = await linesOf(2, async () => {
      // Its lines are more than the buffers of two sockets hold.
      const row = Array.from({ length: 8 }, (_, k) => k / 7);
      const weights = { W_x: [row], W_h: Array.from({ length: 8 }, () => row) };
      const body = JSON.stringify({ weights, x: Array.from({ length: 60_000 }, () => [[0.123]]), trace: true });
      const headers = { 'content-type': 'application/json', accept: 'application/x-ndjson', 'content-length': body.length };
      const stream = requestText('POST', '/v1/sequence', headers, body);
      const waiting = requestText('GET', '/v1/models', { traceparent: TRACEPARENT });
      // It reads nothing, so the stream does not end.
      const client = new RawClient(port, stream + waiting, false);
      await eventually(() => begun.includes('/v1/models'), WAIT_MS);
      client.socket.destroy();
    });
    expect(lines.find(({ method }) => method === 'GET')).toMatchObject({ unanswered: 'the client left', trace_id: TRACE });
    expect(lines.find(({ method }) => method === 'POST')).not.toHaveProperty('trace_id');
  });

  test('a stream has it in its headers, a WebSocket in its lines and problems, and the audit log in its lines', async () => {
    const x = [[[1]]];
    const accept = { accept: 'application/x-ndjson', traceparent: TRACEPARENT };
    const stream = await post('/v1/sequence', JSON.stringify({ weights: WEIGHTS, x }), accept);
    await stream.text();
    expect(stream.headers.get('traceparent')).toBe(TRACEPARENT);
    const created = await post('/v1/sessions', JSON.stringify({ weights: WEIGHTS }), { traceparent: TRACEPARENT });
    expect(audit.at(-1)).toMatchObject({ action: 'session.create', trace_id: TRACE });
    const { id } = (await created.json()) as { id: string };
    const lines = await linesOf(1, async () => {
      const headers = { traceparent: TRACEPARENT };
      const { client } = await StreamClient.connect(`${url.replace('http', 'ws')}/v1/sessions/${id}/stream`, { headers });
      expect((await client.ask('{')).error).toMatchObject({ code: 'malformed_json', trace_id: TRACE });
      await client.close();
    });
    expect(new Set(lines.map(({ msg }) => msg))).toEqual(new Set(['request', 'request refused', 'stream']));
    for (const line of lines) expect(line.trace_id).toBe(TRACE);
  });
});

test('with a collector every request has a trace, sampled or not', async () => {
  const collector = await startOtlpReceiver();
  const { linesOf, post } = await service({
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_TRACES_SAMPLER: 'always_off',
  });
  let response: Response | undefined;
  const lines = await linesOf(1, async () => {
    response = await post('/v1/step', '{');
  });
  const [, traceId] = response!.headers.get('traceparent')!.split('-');
  expect(traceId).toMatch(/^[0-9a-f]{32}$/);
  expect(await response!.json()).toMatchObject({ trace_id: traceId });
  expect(lines).toHaveLength(2);
  for (const line of lines) expect(line.trace_id).toBe(traceId);
});

test('OTEL_SDK_DISABLED is as no collector', async () => {
  const { post } = await service({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:9', OTEL_SDK_DISABLED: 'true' });
  expect((await post('/v1/step', '{')).headers.has('traceparent')).toBe(false);
});
