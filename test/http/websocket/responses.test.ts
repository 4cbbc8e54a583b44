// Messages and their responses on a WebSocket: values, order, if_match and idempotency keys.
import { describe, expect, test } from 'vitest';
import { readSafetensorsFile } from '../../../src/codec/safetensors/read.ts';
import { pseudoRandom } from '../../../src/wasm/pseudo-random.ts';
import { randomRecurrence, weightsBody } from '../../helpers/recurrence.ts';
import { LIMITS, fileOf, listen } from './server.ts';

const server = await listen(LIMITS);

/** A random step or sequence as the body of a POST and where it goes. */
function randomBody(random: () => number, N: number, D: number) {
  const chance = (p: number) => random() * 0.5 + 0.5 < p;
  const size = (max: number) => 1 + Math.floor((random() * 0.5 + 0.5) * max * 0.999);
  const number = () => Math.fround(random() * 3);
  const matrix = (rows: number) =>
    Array.from({ length: rows }, () => Array.from({ length: D }, number));
  const trace = chance(0.3) ? { trace: true } : {};
  if (chance(0.4)) return { url: '/v1/step', body: { x: matrix(N), ...trace } };
  const T = size(5);
  const isBatchFirst = chance(0.4);
  const [outer, inner] = isBatchFirst ? [N, T] : [T, N];
  return {
    url: '/v1/sequence',
    body: {
      x: Array.from({ length: outer }, () => matrix(inner)),
      ...(isBatchFirst && { layout: 'NTD' }),
      ...(chance(0.3) && { lengths: Array.from({ length: N }, () => size(T)) }),
      ...(chance(0.5) && { outputs: chance(0.5) ? ['h'] : ['hs'] }),
      ...trace,
    },
  };
}

describe('responses', () => {
  test('responses are those of the POST routes, bit for bit, in any mix', async () => {
    const random = pseudoRandom(7);
    const { weights } = randomRecurrence({ T: 1, N: 1, D: 3, H: 19 }, 7);
    const N = 4;
    const session = { weights: weightsBody(weights), N };
    const [posted, streamed] = [await server.create(session), await server.create(session)];
    const { client } = await server.connect(streamed);
    for (let k = 0; k < 200; k++) {
      const { url, body } = randomBody(random, N, 3);
      const isFile = random() > 0.2;
      const post = await server.app.http.inject({
        method: 'POST',
        url,
        headers: {
          'content-type': isFile ? 'application/octet-stream' : 'application/json',
          'x-session-id': posted,
        },
        payload: isFile ? fileOf(body) : JSON.stringify(body),
      });
      expect(post.statusCode, post.body).toBe(200);
      client.send(isFile ? fileOf(body, { id: `${k}` }) : { id: k, ...body });
      const response = await client.next();
      const expected = isFile ? readSafetensorsFile(post.rawPayload) : undefined;
      if (expected) {
        const { tensors, metadata } = readSafetensorsFile(response as Buffer);
        expect(tensors).toEqual(expected.tensors);
        expect(metadata.id).toBe(`${k}`);
        const { digest, t } = JSON.parse(metadata.session!);
        expect({ digest, t }).toMatchObject(pick(JSON.parse(expected.metadata.session!)));
      } else {
        expect(String(response).split(`,"id":${k},"session":`)[0]).toBe(
          post.body.split(',"session":')[0],
        );
        expect(pick(JSON.parse(String(response)).session)).toEqual(pick(post.json().session));
      }
    }
    const [a, b] = [await server.read(posted), await server.read(streamed)];
    expect([b.t, b.version, b.h]).toEqual([a.t, a.version, a.h]);
    await client.close();
  });

  const pick = ({ digest, t }: { digest: string; t: number }) => ({ digest, t });

  test('responses are in the order of the messages, errors too, however many are sent before', async () => {
    const small = await listen({ SESSION_QUEUE_MAX: '3' });
    const id = await small.create();
    const { client } = await small.connect(id);
    const kinds = [
      (k: number) => ({ id: k, x: [[k]] }),
      (k: number) => fileOf({ x: [[[k]], [[1]]] }, { id: `${k}` }),
      (k: number) => ({ id: k, x: [[k, 1]] }),
      (k: number) => ({ id: k, x: [[k]], nonsense: true }),
    ];
    const count = 2_000;
    for (let k = 0; k < count; k++) client.send(kinds[k % kinds.length]!(k));
    for (let k = 0; k < count; k++) {
      const response = await client.next();
      const tag = Buffer.isBuffer(response)
        ? Number(readSafetensorsFile(response).metadata.id)
        : JSON.parse(response).id;
      expect(tag).toBe(k);
    }
    expect(await small.read(id)).toMatchObject({ version: count / 2, t: (count / 4) * 3 });
    await client.close();
  });

  test('responses are sent when they are computed, without waiting for the next message', async () => {
    const { client } = await server.connect(await server.create());
    for (let k = 1; k <= 3; k++) {
      expect((await client.ask({ x: [[1]], id: 'é😀' })).session.t).toBe(k);
    }
    await client.close();
  });
});

describe('versions and keys', () => {
  test('if_match names the previous message: one that fails stops those after it', async () => {
    const { client, greeting } = await server.connect(await server.create());
    for (const [k, x] of [[[1]], [[1]], [[1, 2]], [[1]], [[1]]].entries()) {
      client.send({ x, if_match: k === 0 ? greeting.session.etag : 'previous', id: k });
    }
    const responses = [];
    for (let k = 0; k < 5; k++) responses.push(await client.nextJson());
    expect(responses.map(({ error }) => error?.code)).toEqual([
      undefined,
      undefined,
      'shape_mismatch',
      'step_conflict',
      'step_conflict',
    ]);
    const refusal = { status: 412, t: 2, version: 2, applied: 'no' };
    expect(responses[4]).toMatchObject({ id: 4, error: refusal });
    await client.close();
  });

  test('a repeated message has the same response, on any connection', async () => {
    const id = await server.create();
    const message = { x: [[1]], key: 'k', id: 'first' };
    const one = await server.connect(id);
    const first = await one.client.ask(message);
    await one.client.ask({ x: [[2]] });
    expect(await one.client.ask(message)).toEqual({ ...first, replayed: true });
    await one.client.close();
    const two = await server.connect(id);
    expect(await two.client.ask(message)).toEqual({ ...first, replayed: true });
    two.client.send(fileOf({ x: [[1]] }, { key: 'f' }));
    const file = readSafetensorsFile((await two.client.next()) as Buffer);
    two.client.send(fileOf({ x: [[1]] }, { key: 'f' }));
    const again = readSafetensorsFile((await two.client.next()) as Buffer);
    expect(again.tensors).toEqual(file.tensors);
    expect(again.metadata).toEqual({ ...file.metadata, replayed: 'true' });
    expect((await server.read(id)).t).toBe(3);
    await two.client.close();
  });

  test('a key is refused with other bytes or as a POST', async () => {
    const id = await server.create();
    const { client } = await server.connect(id);
    await client.ask({ x: [[1]], key: 'k' });
    const other = await client.ask({ x: [[2]], key: 'k', id: 7 });
    const refusal = { code: 'idempotency_key_reused', applied: 'no' };
    expect(other).toMatchObject({ id: 7, error: refusal });
    const post = await server.app.http.inject({
      method: 'POST',
      url: '/v1/step',
      headers: { 'idempotency-key': 'k' },
      payload: { session: id, x: [[1]] },
    });
    expect([post.statusCode, post.json().code]).toEqual([422, 'idempotency_key_reused']);
    expect((await server.read(id)).t).toBe(1);
    await client.close();
  });
});
