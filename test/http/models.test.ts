// /v1/models over HTTP: registration, names, files, and computing with a registered model.
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createLogger } from '../../src/logging.ts';
import { referenceReadout } from '../../src/wasm/reference/step.ts';
import { buildApp } from '../helpers/app.ts';
import { runs } from '../helpers/long.ts';
import {
  bitsOf,
  nested,
  randomRecurrence,
  recurrences,
  referenceStates,
  weightsBody,
} from '../helpers/recurrence.ts';
import { fc } from '../helpers/seed.ts';

const app = await buildApp();
const fixtures = join(import.meta.dirname, '../fixtures/demo');
const file = readFileSync(join(fixtures, 'sunspots.safetensors'));
/** The same, and its metadata confirms the activation. */
const demo = join(import.meta.dirname, '../../src/models/demo/sunspots.safetensors');

const W = { W_x: [[0.5, -0.25]], W_h: [[0.1, 0.2], [-0.3, 0.4]], b: [0.01, -0.02] };
const request = (method: 'GET' | 'PUT' | 'DELETE', url: string, body?: object) =>
  app.http.inject({ method, url, ...(body && { payload: body }) });

describe('registration', () => {
  test('registration answers 201 with the id and the address, and 200 the second time', async () => {
    const first = await app.post('/v1/models', { weights: W, name: 'first' });
    expect(first.status).toBe(201);
    expect(first.body).toMatchObject({ names: ['first'], D: 1, H: 2 });
    expect(first.body.id).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(first.headers.location).toBe(`/v1/models/${first.body.id}`);
    const again = await app.post('/v1/models', { weights: W });
    expect(again.status).toBe(200);
    expect(again.body).toEqual(first.body);
    const read = await request('GET', String(first.headers.location));
    expect(read.json()).toEqual(first.body);
  });

  test('models are listed, names pointed to models, and models deleted', async () => {
    const { body } = await app.post('/v1/models', { weights: { ...W, b: [0, 1] }, name: 'v1' });
    const { body: other } = await app.post('/v1/models', { weights: { ...W, b: [1, 0] } });
    const pointed = await request('PUT', '/v1/models/live', { model: 'v1' });
    expect(pointed.json().names).toEqual(['v1', 'live']);
    const moved = await request('PUT', '/v1/models/live', { model: other.id });
    expect(moved.json()).toMatchObject({ id: other.id, names: ['live'] });
    const { models } = (await request('GET', '/v1/models')).json();
    expect(models.map(({ id }: { id: string }) => id)).toEqual(
      expect.arrayContaining([body.id, other.id]),
    );
    expect((await request('DELETE', '/v1/models/live')).statusCode).toBe(204);
    expect((await request('GET', `/v1/models/${other.id}`)).json().code).toBe('model_not_found');
    expect((await request('DELETE', '/v1/models/live')).statusCode).toBe(404);
  });

  test('a name may be as long as it is allowed to be', async () => {
    const name = 'n'.repeat(128);
    expect((await app.post('/v1/models', { weights: { ...W, b: [3, 4] }, name })).status).toBe(201);
    expect((await request('GET', `/v1/models/${name}`)).json().names).toEqual([name]);
    expect((await request('PUT', `/v1/models/${name}`, { model: name })).statusCode).toBe(200);
    expect((await request('DELETE', `/v1/models/${name}`)).statusCode).toBe(204);
  });

  test.each([
    [{ weights: W, name: 'a b' }, 400, 'invalid_request'],
    [{ weights: W, name: 'sha256:x' }, 400, 'invalid_request'],
    [{ weights: W, owner: 'me' }, 400, 'invalid_request'],
    [{ weights: { ...W, b: [1] } }, 422, 'shape_mismatch'],
    [{ weights: W, readout: { W_y: [[1]] } }, 422, 'shape_mismatch'],
    [{ weights: W, readout: { W_y: [[1], [2]], b_y: [1, 2] } }, 422, 'shape_mismatch'],
    [{ weights: W, readout: { W_y: [[1], [2, 3]] } }, 400, 'ragged_array'],
    [{ weights: W, readout: { W_y: [[1], [1e39]] } }, 422, 'out_of_range'],
  ])('registration refuses %j', async (body, status, code) => {
    const response = await app.post('/v1/models', body);
    expect(response.body).toMatchObject({ status, code });
    expect(response.status).toBe(status);
  });

  test('a name that is in use is refused', async () => {
    await app.post('/v1/models', { weights: { ...W, b: [3, 3] }, name: 'taken' });
    const response = await app.post('/v1/models', { weights: { ...W, b: [4, 4] }, name: 'taken' });
    expect(response.body).toMatchObject({ status: 409, code: 'name_taken' });
    expect(response.body.detail).toContain('PUT /v1/models/taken');
  });
});

describe('safetensors files', () => {
  const TANH = '/v1/models?activation=tanh';
  const post = (payload: Buffer, type = 'application/octet-stream', url = TANH) =>
    app.http.inject({ method: 'POST', url, headers: { 'content-type': type }, payload });

  test('files are registered under ?name=, with their readout', async () => {
    const response = await post(file, 'application/octet-stream', `${TANH}&name=copy`);
    expect(response.statusCode).toBe(200);
    expect(response.json()).toMatchObject({ D: 1, H: 32, O: 1, names: ['sunspots', 'copy'] });
    expect(response.json()).toMatchObject({
      activation: 'tanh',
      tensors: { W_x: 'rnn.weight_ih_l0 (transposed)', b: 'rnn.bias_ih_l0 + rnn.bias_hh_l0' },
    });
    expect((await post(file, 'application/vnd.carryover.safetensors')).statusCode).toBe(200);
  });

  test('files of torch are refused without a statement on the activation, and for one that is not computed', async () => {
    const unsaid = await post(file, undefined, '/v1/models');
    expect(unsaid.json()).toMatchObject({ status: 422, code: 'activation_unconfirmed' });
    const gelu = await post(file, undefined, '/v1/models?activation=gelu');
    expect(gelu.json()).toMatchObject({ status: 422, code: 'activation_unsupported' });
  });

  test('the readout of a file is taken from ?readout=, which JSON does not need', async () => {
    const named = await post(file, undefined, `${TANH}&readout=head`);
    expect(named.json()).toMatchObject({ O: 1, tensors: { W_y: 'head.weight (transposed)' } });
    const other = await post(file, undefined, `${TANH}&readout=tail`);
    expect(other.json()).toMatchObject({ status: 422, code: 'unknown_tensors' });
    const json = await app.post('/v1/models?readout=head', { weights: W });
    expect(json.body).toMatchObject({ status: 400, code: 'invalid_request' });
    const relu = await app.post('/v1/models?activation=relu', { weights: W });
    expect(relu.body).toMatchObject({ status: 422, code: 'activation_unsupported' });
  });

  test('truncated files are refused, at every length', async () => {
    for (let length = 0; length < file.length; length += 97) {
      const response = await post(file.subarray(0, length));
      expect(response.statusCode, `${length}`).toBe(400);
      expect(response.json().code).toBe('malformed_safetensors');
    }
  });

  test('files are not accepted by other routes', async () => {
    const response = await app.http.inject({
      method: 'PUT',
      url: '/v1/models/sunspots',
      headers: { 'content-type': 'application/octet-stream' },
      payload: file,
    });
    expect(response.statusCode).toBe(415);
  });
});

describe('a registered model', () => {
  test('the model computes the bits of the same weights sent inline', async () => {
    await fc.assert(
      fc.asyncProperty(recurrences(60, 3), async (input) => {
        const { T, N, weights, x, h } = input;
        const { D, H } = weights;
        const body = { x: nested(x, [T, N, D]), h: nested(h, [N, H]) };
        const { body: model } = await app.post('/v1/models', { weights: weightsBody(weights) });
        const byModel = await app.post('/v1/sequence', { ...body, model: model.id });
        const inline = await app.post('/v1/sequence', { ...body, weights: weightsBody(weights) });
        expect(byModel.status).toBe(200);
        expect(byModel.body).toEqual(inline.body);
        await request('DELETE', `/v1/models/${model.id}`);
      }),
      { numRuns: runs(30) },
    );
  });

  test('a model with a readout answers y of h and ys of hs, in the bits of the reference', async () => {
    const lengthsOf = (N: number, T: number) => Array.from({ length: N }, (_, n) => (n * 2) % (T + 1));
    await fc.assert(
      fc.asyncProperty(recurrences(60, 4), fc.integer({ min: 1, max: 20 }), async (input, O) => {
        const { T, N, weights, x, h } = input;
        const { D, H } = weights;
        const shape = { T: 1, N: 1, D: H, H: O };
        const { W_x: W_y, b: b_y } = randomRecurrence(shape, O).weights;
        const { body: model } = await app.post('/v1/models', {
          weights: weightsBody(weights),
          readout: { W_y: nested(W_y, [H, O]), b_y: nested(b_y, [O]) },
        });
        const lengths = lengthsOf(N, T);
        const { status, body } = await app.post('/v1/sequence', {
          model: model.id,
          x: nested(x, [T, N, D]),
          h: nested(h, [N, H]),
          lengths,
        });
        expect(status, JSON.stringify(body).slice(0, 200)).toBe(200);
        const hs = referenceStates(input, lengths);
        const y = (state: Float32Array) => referenceReadout({ O, W_y, b_y }, state);
        for (let n = 0; n < N; n++) {
          const steps = lengths[n]!;
          for (let t = 0; t < T; t++) {
            const at = (t * N + n) * H;
            const expected = t < steps ? y(hs.subarray(at, at + H)) : new Float32Array(O);
            expect(bitsOf(body.ys[t][n])).toEqual(bitsOf([...expected]));
          }
          expect(bitsOf(body.y[n])).toEqual(bitsOf([...y(Float32Array.from(body.h[n]))]));
        }
        const { body: last } = await app.post('/v1/sequence', {
          model: model.id,
          x: nested(x, [T, N, D]),
          h: nested(h, [N, H]),
          lengths,
          outputs: ['h'],
        });
        expect(last).toEqual({ h: body.h, y: body.y });
        await request('DELETE', `/v1/models/${model.id}`);
      }),
      { numRuns: runs(40) },
    );
  });

  test('the limits count what a readout adds to the answer and to the work', async () => {
    const bounded = await buildApp({ ANSWER_NUMBERS_MAX: '100', WORK_FLOPS_MAX: '10000' });
    const W_y = [Array.from({ length: 30 }, () => 1)];
    const weights = { W_x: [[1]], W_h: [[1]] };
    await bounded.post('/v1/models', { weights, readout: { W_y }, name: 'wide' });
    const x = (T: number) => Array.from({ length: T }, () => [[1]]);
    const ask = (T: number, rest = {}) =>
      bounded.post('/v1/sequence', { model: 'wide', x: x(T), ...rest });
    expect((await ask(2)).status).toBe(200);
    const response = await ask(3);
    expect(response.body.code).toBe('limit_exceeded');
    expect(response.body.detail).toContain('would have 124 numbers');
    // 8 operations a step, as D + H is 2, and 120 of the readout, both in float64.
    const work = await ask(2_000, { outputs: ['h'] });
    expect(work.body.detail).toContain('needs 16120 operations');
  });

  test('inputs that do not fit the model are refused with the reason', async () => {
    const response = await app.post('/v1/step', { model: 'sunspots', x: [[1, 2]] });
    expect(response.body.code).toBe('shape_mismatch');
    expect(response.body.detail).toBe(
      'x has shape (N, D) = (1, 2), expected (1, 1), because model "sunspots" makes D = 1.',
    );
  });

  test('the model sunspots is there from the start, with a readout', async () => {
    const { status, body } = await app.post('/v1/step', { model: 'sunspots', x: [[0.58]] });
    expect(status).toBe(200);
    expect(body.h[0]).toHaveLength(32);
    expect(body.y[0]).toHaveLength(1);
  });
});

describe('MODELS_DIR', () => {
  test('models are loaded under their file names; a malformed file is named in the log and skipped', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'models-'));
    copyFileSync(demo, join(folder, 'mine.safetensors'));
    copyFileSync(join(fixtures, 'sunspots.safetensors'), join(folder, 'unsaid.safetensors'));
    writeFileSync(join(folder, 'broken.safetensors'), 'not a model');
    writeFileSync(join(folder, 'bad name.safetensors'), file);
    writeFileSync(join(folder, 'notes.txt'), 'not looked at');
    writeFileSync(join(folder, 'weights.gguf'), 'GGUF\x03\x00\x00\x00', 'latin1');
    const lines: string[] = [];
    const logger = createLogger('info', { write: (line) => void lines.push(line) });
    const loaded = await buildApp({ MODELS_DIR: folder }, { logger });
    rmSync(folder, { recursive: true });
    expect(loaded.registry.info('mine').names).toEqual(['sunspots', 'mine']);
    const skipped = lines.map((line) => JSON.parse(line)).filter(({ msg }) => /skipped/.test(msg));
    expect(skipped.map(({ path }) => path)).toEqual([
      join(folder, 'bad name.safetensors'),
      join(folder, 'broken.safetensors'),
      join(folder, 'unsaid.safetensors'),
      join(folder, 'weights.gguf'),
    ]);
    expect(skipped[0].reason).toMatch(/"bad name", is to be the model's name: expected letters/);
    expect(skipped[3].reason).toMatch(/^Only \*\.safetensors, .*\*\.keras, .* files are models here\. The file is of GGUF/);
    expect(skipped[2].reason).toMatch(/"activation": "tanh" to the __metadata__ of the file/);
  });

  test('a folder that does not exist is an error at the start', async () => {
    await expect(buildApp({ MODELS_DIR: '/does/not/exist' })).rejects.toThrow(/^MODELS_DIR .*ENOENT/);
  });
});
