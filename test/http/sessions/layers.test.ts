// Sessions of models with layers: their states are those of stateless calls, and come and go whole.
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readSafetensorsFile } from '../../../src/codec/safetensors/read.ts';
import { buildApp } from '../../helpers/app.ts';
import { layersJson } from '../../../load/cases/layers-json.ts';
import { runs } from '../../helpers/long.ts';
import { fc } from '../../helpers/seed.ts';
import { stacks } from '../../helpers/stacks.ts';
import { type TensorToWrite, writeSafetensors } from '../../helpers/safetensors.ts';

const app = await buildApp();

const call = async (method: 'GET' | 'PUT' | 'POST', url: string, payload?: object, headers = {}) => {
  const response = await app.http.inject({ method, url, headers, ...(payload && { payload }) });
  return { status: response.statusCode, body: response.json(), headers: response.headers };
};
const create = async (body: object) => {
  const { status, body: session } = await call('POST', '/v1/sessions', body);
  expect(status, session.detail).toBe(201);
  return session;
};
const register = async (layers: readonly unknown[]) => {
  const { body } = await app.post('/v1/models', { layers });
  expect(body.detail).toBeUndefined();
  return body.id as string;
};
const flat = (value: any): number[] => [value ?? []].flat(9).filter((number) => number !== null) as number[];

/** An independent digest: every h in the order of the layers, then every c. */
const digestOf = ({ h, c }: any) =>
  createHash('sha256')
    .update(Float32Array.from([...flat(h), ...flat(c)]))
    .digest('hex')
    .slice(0, 16);

const E = [[1, 0], [0, 1], [-1, 0.5]];
const LSTM = { type: 'lstm', W_x: [[1, 2, 3, 4], [5, 6, 7, 8]], W_h: [[1, 2, 3, 4]], b: [0.1, 0.2, 0.3, 0.4] };
const GRU = { type: 'gru', W_x: [Array(6).fill(0.5)], W_h: [Array(6).fill(0.25), Array(6).fill(-0.25)] };
const DENSE = { type: 'dense', W: [[1, 0], [2, -1]], activation: 'softmax' };
const TEXT = await register([{ type: 'embedding', E }, LSTM, GRU, DENSE]);
const ONE = await register([LSTM]);
const FLAT = await register([GRU]);

const folder = join(import.meta.dirname, '../../fixtures/cells');
const files = readdirSync(folder)
  .map((name) => JSON.parse(readFileSync(join(folder, name), 'utf8')))
  .filter(({ layers, lengths }) => !lengths && layers.every(({ direction = 'forward' }: any) => direction === 'forward'));
const unlisted = (states: unknown[] | undefined) => (states?.length === 1 ? (states[0] ?? undefined) : states);

describe('a session', () => {
  test.each(files)('of $name, step by step, has the states and answers of the whole sequence', async (file) => {
    const model = await register(file.layers);
    const { x, N } = file;
    const hasC = file.c?.some((entry: unknown) => entry !== null);
    const given = { h: unlisted(file.h), c: hasC ? unlisted(file.c) : undefined };
    const { body: whole } = await app.post('/v1/sequence', { model, x, ...given });
    const session = await create({ model, N, ...given });
    for (const [t, x_t] of x.entries()) {
      const { status, body } = await app.post('/v1/step', { session: session.id, x: x_t });
      expect(status, body.detail).toBe(200);
      expect(body.y).toEqual(whole.ys?.[t]);
      expect(body.session).toMatchObject({ t: t + 1, digest: digestOf(body) });
    }
    const { body: read } = await call('GET', `/v1/sessions/${session.id}`);
    expect(read).toMatchObject({ N, t: x.length, digest: digestOf(read) });
    expect({ h: read.h, c: read.c }).toEqual({ h: whole.h, c: whole.c });
  });

  test('of any layers, in any calls, goes on as stateless calls with its states do', async () => {
    const shape = { directions: ['forward' as const], size: 6, T: 5 };
    await fc.assert(
      fc.asyncProperty(stacks(shape), fc.integer({ min: 1, max: 4 }), fc.boolean(), async ({ layers, input }, cut, isFile) => {
        const model = await register(layersJson(layers));
        const { N, x } = input;
        const isTokens = layers[0]!.type === 'embedding';
        const D = x.length / 5 / N;
        const rows = (t: number) => Array.from({ length: N }, (_, n) => [...x.subarray((t * N + n) * D, (t * N + n + 1) * D)]);
        const steps = Array.from({ length: 5 }, (_, t) => (isTokens ? rows(t).flat() : rows(t)));
        const { body: whole } = await app.post('/v1/sequence', { model, x: steps });
        const session = await create({ model, N });
        const first = await app.post('/v1/sequence', { session: session.id, x: steps.slice(0, cut), outputs: ['h'] });
        expect(first.status, first.body.detail).toBe(200);
        const rest = isFile
          ? await sendFile('/v1/sequence', { x: tensor(steps.slice(cut)) }, { session: session.id })
          : (await app.post('/v1/sequence', { session: session.id, x: steps.slice(cut) })).body;
        if (!isFile) for (const name of ['h', 'c', 'y']) expect(rest[name]).toEqual(whole[name]);
        else expect(rest.get('hs')).toEqual(flat(whole.hs.slice(cut)).map(Math.fround));
        const { body: read } = await call('GET', `/v1/sessions/${session.id}`);
        expect({ h: read.h, c: read.c }).toEqual({ h: whole.h, c: whole.c });
        expect(read.digest).toBe(digestOf(read));
      }),
      { numRuns: runs(40) },
    );
  });

  test('begins with the states that it is given, and with zeros where it is given none', async () => {
    const h = [[[0.5]], [[0.25, -0.25]]];
    const c = [[[2]], null];
    const zeros = await create({ model: TEXT });
    expect((await call('GET', `/v1/sessions/${zeros.id}`)).body).toMatchObject({ N: 1, h: [[[0]], [[0, 0]]], c: [[[0]], null] });
    const session = await create({ model: TEXT, h, c });
    expect((await call('GET', `/v1/sessions/${session.id}`)).body).toMatchObject({ h, c, digest: digestOf({ h, c }) });
    const { body: step } = await app.post('/v1/step', { session: session.id, x: [2] });
    const { body: stateless } = await app.post('/v1/step', { model: TEXT, x: [2], h, c });
    expect(step).toMatchObject(stateless);
    const one = await create({ model: ONE, c: [[3], [4]] });
    expect((await call('GET', `/v1/sessions/${one.id}`)).body).toMatchObject({ N: 2, h: [[0], [0]], c: [[3], [4]] });
  });

  test('of inline layers takes its model along, and the short form in layers is one of old', async () => {
    const { id, model } = await create({ weights: { layers: [{ ...LSTM, b: [9, 9, 9, 9] }] } });
    expect((await app.post('/v1/step', { session: id, x: [[1, 1]] })).body.c).toHaveLength(1);
    await app.http.inject({ method: 'DELETE', url: `/v1/sessions/${id}` });
    expect((await call('GET', `/v1/models/${model}`)).status).toBe(404);
    const short = await create({ weights: { layers: [{ type: 'rnn', W_x: [[1]], W_h: [[1]] }] } });
    expect((await call('GET', `/v1/sessions/${short.id}`)).body).toMatchObject({ h: [[0]] });
  });

  test('is set, rewound and forked with all of its states', async () => {
    const { id } = await create({ model: TEXT, keep: 3 });
    const first = await app.post('/v1/step', { session: id, x: [1] });
    const second = await app.post('/v1/step', { session: id, x: [2] });
    const { body: fork } = await call('POST', `/v1/sessions/${id}/fork`);
    expect(fork).toMatchObject({ t: 2, digest: digestOf(second.body) });
    const state = { h: [[[0.1]], [[0.2, 0.3]]], c: [[[-0.4]], null] };
    const { body: set } = await call('PUT', `/v1/sessions/${id}/state`, { ...state, t: 7 });
    expect(set).toMatchObject({ t: 7, digest: digestOf(state) });
    const { body: read } = await call('GET', `/v1/sessions/${id}`);
    expect({ h: flat(read.h).map(Math.fround), c: read.c[1] }).toEqual({ h: flat(state.h).map(Math.fround), c: null });
    const { body: back } = await call('POST', `/v1/sessions/${id}/rewind`, { t: 1 });
    expect(back).toMatchObject({ t: 1, digest: first.body.session.digest });
    const { body: again } = await app.post('/v1/step', { session: id, x: [2] });
    for (const name of ['h', 'c', 'y']) expect(again[name]).toEqual(second.body[name]);
    const third = await app.post('/v1/step', { session: fork.id, x: [0] });
    const { body: stateless } = await app.post('/v1/step', { model: TEXT, x: [0], h: second.body.h, c: second.body.c });
    expect(third.body).toMatchObject(stateless);
  });

  test('answers a repeated key with the same bytes, and takes the step once', async () => {
    const { id } = await create({ model: TEXT });
    await app.post('/v1/step', { session: id, x: [1] });
    const send = () => app.http.inject({
      method: 'POST',
      url: '/v1/step',
      headers: { 'idempotency-key': 'k' },
      payload: { session: id, x: [2], trace: true },
    });
    const first = await send();
    await app.post('/v1/step', { session: id, x: [0] });
    const again = await send();
    expect(again.headers['idempotency-replayed']).toBe('true');
    expect(again.rawPayload).toEqual(first.rawPayload);
    expect((await call('GET', `/v1/sessions/${id}`)).body.t).toBe(3);
  });
});

const h = [[[0.5]], [[0.25, -0.25]]];
const c = [[[2]], null];

describe('what a session refuses', () => {
  test.each([
    ['reverse', { ...LSTM, direction: 'reverse' }, 'layers[0] (lstm) is reverse'],
    ['bidirectional', { ...LSTM, direction: 'bidirectional', backward: { W_x: LSTM.W_x, W_h: LSTM.W_h } }, 'layers[0] (lstm) is bidirectional'],
  ])('a model that is %s, registered or inline, of which nothing is left', async (_, layer, part) => {
    const model = await register([layer]);
    const registered = await call('POST', '/v1/sessions', { model });
    expect(registered.body).toMatchObject({ status: 422, code: 'model_unsupported', errors: [{ pointer: '/model' }] });
    expect(registered.body.detail).toContain(part);
    expect(registered.body.detail).toContain('send whole sequences to POST /v1/sequence');
    const before = app.memory.bytesUsed;
    const inline = await call('POST', '/v1/sessions', { weights: { layers: [{ ...layer, b: [9, 9, 9, 9] }] } });
    expect(inline.body).toMatchObject({ status: 422, code: 'model_unsupported' });
    expect(app.memory.bytesUsed).toBe(before);
  });

  test.each([
    [{ model: TEXT, h: h[0] }, '/h', 'expected a list of 2'],
    [{ model: TEXT, h: [h[0], [[1]]] }, '/h/1', 'because the first state makes N = 1 and layers[2] (gru) has H = 2'],
    [{ model: TEXT, N: 2, h }, '/h/0', 'because N makes N = 2'],
    [{ model: TEXT, h, c: [c[0], [[1, 2]]] }, '/c/1', 'has no cell state c'],
    [{ model: FLAT, c: [[1, 2]] }, '/c', 'only layers of type lstm'],
    [{ model: ONE, h: [[1, 2]] }, '/h', 'h has shape (N, H) = (1, 2), expected (1, 1), because the first state makes N = 1 and the model makes H = 1.'],
  ])('to begin with %j', async (body, pointer, part) => {
    const { body: found } = await call('POST', '/v1/sessions', body);
    expect(found).toMatchObject({ status: 422, code: 'shape_mismatch', errors: [{ pointer }] });
    expect(found.detail).toContain(part);
  });

  test.each([
    [TEXT, { h }, '/c', 'c is missing, expected the cell state beside h'],
    [TEXT, { h: [h[0]], c }, '/h', 'h has 1 entries, expected 2'],
    [TEXT, { h, c: [null, null] }, '/c/0', 'c[0] is null'],
    [ONE, { h: [[1], [2]], c: [[1], [2]] }, '/h', 'expected (1, 1), because session'],
    [FLAT, { h: [[1, 2]], c: [[1, 2]] }, '/c', 'has no cell state c'],
  ])('as another state, of %s: %j', async (model, body, pointer, part) => {
    const { id } = await create({ model });
    const { body: found } = await call('PUT', `/v1/sessions/${id}/state`, body);
    expect(found).toMatchObject({ status: 422, code: 'shape_mismatch', applied: 'no', errors: [{ pointer }] });
    expect(found.detail).toContain(part);
    expect((await call('GET', `/v1/sessions/${id}`)).body).toMatchObject({ t: 0, version: 0 });
  });

  test('more numbers than SESSION_STATE_NUMBERS_MAX, those of all layers counted', async () => {
    const small = await buildApp({ SESSION_STATE_NUMBERS_MAX: '200' });
    const weights = { layers: [{ type: 'embedding', E }, LSTM, GRU, DENSE] };
    // h and c of an lstm with H = 1, h of a gru with H = 2: four numbers a row.
    expect((await small.post('/v1/sessions', { weights, N: 50 })).status).toBe(201);
    const { body } = await small.post('/v1/sessions', { weights, N: 51 });
    expect(body).toMatchObject({ status: 422, code: 'limit_exceeded' });
    expect(body.detail).toContain('The states of N = 51 rows have 204 numbers; at most 200 are kept');
  });

  test('the state beside it', async () => {
    const { id } = await create({ model: ONE });
    const { body } = await app.post('/v1/step', { session: id, x: [[1, 1]], c: [[1]] });
    expect(body).toMatchObject({ status: 400, errors: [{ pointer: '/session' }] });
    expect(body.detail).toContain('nor c beside a session');
  });
});

/** A tensor of nested arrays, or of numbers. */
function tensor(value: unknown): TensorToWrite {
  const shape: number[] = [];
  for (let inner = value; Array.isArray(inner); inner = inner[0]) shape.push(inner.length);
  return { shape, data: Float32Array.from(flat(value)) };
}

async function sendFile(url: string, tensors: Record<string, TensorToWrite>, metadata: Record<string, string>) {
  const response = await app.http.inject({
    method: 'POST',
    url,
    headers: { 'content-type': 'application/octet-stream', accept: 'application/octet-stream' },
    payload: Buffer.from(writeSafetensors(tensors, metadata)),
  });
  expect(response.statusCode, response.body).toBe(200);
  const { tensors: found } = readSafetensorsFile(response.rawPayload);
  return new Map([...found].map(([name, { data }]) => [name, [...data]]));
}
