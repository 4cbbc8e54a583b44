// Errors of messages on a WebSocket: their problems, and the state of the session and the connection afterwards.
import { describe, expect, test } from 'vitest';
import { CarryoverError } from '../../../src/errors.ts';
import { runs } from '../../helpers/long.ts';
import { fc } from '../../helpers/seed.ts';
import { LIMITS, SlowStore, fileOf, listen } from './server.ts';

const server = await listen(LIMITS);

describe('errors', () => {
  test.each([
    ['', 'malformed_json'],
    ['{', 'malformed_json'],
    ['null', 'invalid_request'],
    ['[]', 'invalid_request'],
    ['{}', 'invalid_request'],
    ['{"x":[[1]],"x":[[2]]}', 'duplicate_key'],
    ['{"x":[[1],[2,3]]}', 'ragged_array'],
    ['{"x":[[[1]],[[1],[2]]]}', 'ragged_array'],
    ['{"x":[[null]]}', 'invalid_request'],
    ['{"x":[[[[1]]]]}', 'invalid_request'],
    ['{"x":[[1e39]]}', 'out_of_range'],
    ['{"x":[[1]],"h":[[0,0]]}', 'invalid_request'],
    ['{"x":[[1]],"model":"sunspots"}', 'invalid_request'],
    ['{"x":[[1]],"session":"another"}', 'invalid_request'],
    ['{"x":[[1]],"id":{}}', 'invalid_request'],
    ['{"x":[[1]],"key":""}', 'invalid_request'],
    ['{"x":[[1]],"key":1}', 'invalid_request'],
    ['{"x":[[1]],"if_match":"W/x"}', 'invalid_request'],
    ['{"x":[[1]],"id":1e999}', 'invalid_request'],
    ['{"x":[[1]],"outputs":["h"]}', 'invalid_request'],
    ['{"x":[[[1]]],"lengths":[2]}', 'out_of_range'],
    ['{"__proto__":{"x":[[1]]}}', 'invalid_request'],
    [Buffer.from(''), 'malformed_safetensors'],
    [Buffer.from('{"x":[[1]]}'), 'malformed_safetensors'],
    [fileOf({ x: [[1, 2]] }), 'shape_mismatch'],
    [fileOf({ x: [1] }), 'shape_mismatch'],
    [fileOf({ x: [[1]] }, { color: 'red' }), 'invalid_request'],
    [fileOf({ x: [[1]] }, { key: 'a b' }), 'invalid_request'],
  ] as const)('%j is %s; the session is as it was, the connection open', async (message, code) => {
    const id = await server.create();
    const { client } = await server.connect(id);
    const { error } = await client.ask(message);
    expect(error).toMatchObject({ code, applied: 'no', errors: expect.any(Array) });
    expect(error.instance).toMatch(/\/1$/);
    const { session } = await client.ask({ x: [[1]], session: id });
    expect(session).toMatchObject({ t: 1, version: 1 });
    await client.close();
  });

  test('errors are those of the POST routes', async () => {
    const id = await server.create();
    const { client } = await server.connect(id);
    for (const [url, body] of [
      ['/v1/step', { x: [[1], ['2']] }],
      ['/v1/step', { x: [[1, 2]] }],
      ['/v1/sequence', { x: [[[1]], [[1e39]]] }],
      ['/v1/sequence', { x: [[[1]]], outputs: ['y'] }],
    ] as const) {
      const post = await server.app.http.inject({
        method: 'POST',
        url,
        headers: { 'x-session-id': id },
        payload: body,
      });
      const { error } = await client.ask(body);
      const { instance: _, ...expected } = post.json();
      expect(error).toMatchObject(expected);
    }
    // A message may have less than the body of a POST.
    const { error } = await client.ask({ x: [[1]], colour: 1 });
    expect(error).toMatchObject({ detail: '/colour is not a known field; expected session, id, key, if_match, x, trace.', applied: 'no' });
    await client.close();
  });

  test('random messages never close the connection', async () => {
    const id = await server.create();
    const { client } = await server.connect(id);
    const valid = '{"x":[[[1]],[[2]]],"outputs":["h"],"id":"a","key":"k","lengths":[1]}';
    const messages = fc.oneof(
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      fc.json().map(String),
      fc.string({ maxLength: 100 }),
      fc.tuple(fc.nat(valid.length - 1), fc.string({ maxLength: 2 })).map(
        ([at, text]) => valid.slice(0, at) + text + valid.slice(at + 1),
      ),
      fc.tuple(fc.nat(120), fc.nat(255)).map(([at, byte]) => {
        const file = fileOf({ x: [[1]] }, { id: 'a' });
        file[at % file.length] = byte;
        return file;
      }),
    );
    await fc.assert(
      fc.asyncProperty(messages, async (message) => {
        client.send(message);
        const response = await client.next();
        if (!Buffer.isBuffer(response)) {
          const { error, session } = JSON.parse(response);
          expect(error ? error.applied !== 'yes' && error.status < 500 : session).toBeTruthy();
        }
      }),
      { numRuns: runs(1_000) },
    );
    const { t, h } = await server.read(id);
    expect(h[0].every(Number.isFinite) && t >= 0).toBe(true);
    await client.close();
  });

  test('errors of the store have the time to retry after and whether the call was applied', async () => {
    const store = new SlowStore(1e9);
    const failing = await listen({}, { store });
    const { client } = await failing.connect(await failing.create());
    const change = store.change.bind(store);
    store.change = () => {
      throw new CarryoverError('store_unavailable', { detail: 'lost', applied: 'unknown' });
    };
    expect((await client.ask({ x: [[1]], key: 'k' })).error).toMatchObject({
      code: 'store_unavailable',
      applied: 'unknown',
      retry_after_s: 1,
    });
    store.change = change;
    expect((await client.ask({ x: [[1]], key: 'k' })).session.t).toBe(1);
    await client.close();
  });

  test('a deleted session closes its connections, after a problem', async () => {
    const id = await server.create();
    const { client } = await server.connect(id);
    await server.app.http.inject({ method: 'DELETE', url: `/v1/sessions/${id}` });
    const { error } = await client.ask({ x: [[1]], id: 1 });
    expect(error).toMatchObject({ code: 'session_gone', reason: 'deleted', applied: 'no' });
    expect(await client.closed).toEqual({ code: 4410 });
  });
});
