// Steps and sequences on a session.
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { readSafetensorsFile } from '../../../src/codec/safetensors/read.ts';
import { writeSafetensors } from '../../../src/codec/safetensors/write.ts';
import { WEIGHTS, startService } from './service.ts';

const { app, call, create, step, stateless } = await startService();

describe('steps and sequences', () => {
  test('steps and sequences carry the state: the bits are those of one long sequence', async () => {
    const { id } = await create();
    const xs = [1, -0.5, 0.25, 2, -3];
    const [first, ...rest] = xs;
    const one = await step(id, first!);
    const many = await call('POST', '/v1/sequence', {
      session: id,
      x: rest.map((x) => [[x]]),
      outputs: ['h'],
    });
    expect(one.json()).toEqual({ h: await stateless([first!]), session: expect.anything() });
    const { h, session } = many.json();
    expect(h).toEqual(await stateless(xs));
    expect(session).toMatchObject({ id, t: 5, version: 2 });
    const digest = createHash('sha256').update(Float32Array.from(h[0])).digest('hex').slice(0, 16);
    expect(session.digest).toBe(digest);
    expect(many.headers['x-session-id']).toBe(id);
    expect(many.headers.etag).toMatch(/\.2\.[\w-]{8}"$/);
    const read = await call('GET', `/v1/sessions/${id}`);
    expect(read.json()).toMatchObject({ t: 5, version: 2, digest, h, kept: [] });
    expect(read.headers.etag).toBe(many.headers.etag);
  });

  test('the session may be in the header as well, and both must be the same', async () => {
    const { id } = await create();
    const header = { 'x-session-id': id };
    const response = await call('POST', '/v1/step', { x: [[1]] }, header);
    expect(response.json().session).toMatchObject({ id, t: 1 });
    const both = await call('POST', '/v1/step', { session: 'other', x: [[1]] }, header);
    expect([both.statusCode, both.json().code]).toEqual([400, 'invalid_request']);
    expect(both.json().applied).toBe('no');
  });

  test('a file has the session in its metadata, and so has the response', async () => {
    const { id } = await create();
    const x = Buffer.from(Float32Array.of(1).buffer);
    const header = Buffer.from(
      JSON.stringify({
        __metadata__: { session: id },
        x: { dtype: 'F32', shape: [1, 1], data_offsets: [0, 4] },
      }),
    );
    const size = Buffer.alloc(8);
    size.writeBigUInt64LE(BigInt(header.length));
    const response = await app.http.inject({
      method: 'POST',
      url: '/v1/step',
      headers: { 'content-type': 'application/octet-stream' },
      payload: Buffer.concat([size, header, x]),
    });
    const { tensors, metadata } = readSafetensorsFile(response.rawPayload);
    expect(JSON.parse(metadata.session!)).toMatchObject({ id, t: 1, version: 1 });
    expect([...tensors.get('h')!.data].map(Number)).toEqual(
      [...Float32Array.from((await stateless([1]))[0])],
    );
    const file = await call('GET', `/v1/sessions/${id}`, undefined, {
      accept: 'application/octet-stream',
    });
    expect(readSafetensorsFile(file.rawPayload).metadata).toMatchObject({ id, t: '1' });
  });

  test.each([
    [{ x: [[1], [2]] }, 422, 'shape_mismatch', 'has N = 1'],
    [{ x: [[1, 2]] }, 422, 'shape_mismatch', 'makes D = 1'],
    [{ x: [[1]], h: [[0, 0]] }, 400, 'invalid_request', 'neither weights, model, h nor c'],
    [{ x: [[1]], model: 'tiny' }, 400, 'invalid_request', 'neither weights, model, h nor c'],
    [{ x: [[1]], weights: WEIGHTS }, 400, 'invalid_request', 'neither weights, model, h nor c'],
    [{ x: [[1e39]] }, 422, 'out_of_range', 'beyond float32'],
    [{ x: [[null]] }, 400, 'invalid_request', ''],
  ])('a step with %j is refused and leaves the state unchanged', async (body, status, code, detail) => {
    const { id } = await create();
    const before = (await call('GET', `/v1/sessions/${id}`)).body;
    const response = await call('POST', '/v1/step', { session: id, ...body });
    expect([response.statusCode, response.json().code]).toEqual([status, code]);
    expect(response.json().detail).toContain(detail);
    expect(response.json().applied).toBe('no');
    expect((await call('GET', `/v1/sessions/${id}`)).body).toBe(before);
  });

  test('a result that is not finite is refused and never committed', async () => {
    const H = 97;
    const weights = {
      W_x: [Array(H).fill(3e38)],
      // The sums of the blocks are +∞ and −∞.
      W_h: Array.from({ length: H }, (_, k) => Array(H).fill(k < 48 ? 3e38 : -3e38)),
    };
    const { id } = (await call('POST', '/v1/sessions', { weights })).json();
    const sequence = { session: id, x: [[[1]], [[1]], [[1]]] };
    const response = await call('POST', '/v1/sequence', sequence);
    expect([response.statusCode, response.json().code]).toEqual([422, 'not_finite']);
    const read = (await call('GET', `/v1/sessions/${id}`)).json();
    expect([read.t, read.version, read.h[0][0]]).toEqual([0, 0, 0]);
  });
});

test('errors of a file on a session have whether the call was applied', async () => {
  const { id } = await create();
  const file = (metadata: Record<string, string>, x: number[]) => {
    const data = new Float32Array(x);
    return writeSafetensors({ x: { shape: [1, x.length], strides: [x.length, 1], data } }, metadata);
  };
  const send = (payload: Buffer) =>
    app.http.inject({
      method: 'POST',
      url: '/v1/step',
      headers: { 'content-type': 'application/octet-stream' },
      payload,
    });
  const wrongShape = await send(file({ session: id }, [1, 2]));
  expect([wrongShape.statusCode, wrongShape.json().applied]).toEqual([422, 'no']);
  const unknownField = await send(file({ session: id, color: 'red' }, [1]));
  expect([unknownField.statusCode, unknownField.json().applied]).toEqual([400, 'no']);
  const none = await send(file({ model: 'tiny' }, [1, 2]));
  expect([none.statusCode, none.json().applied]).toEqual([422, undefined]);
});
