// Models with layers over HTTP: torch's results, the bits of the kernels, ids, and what is refused and why.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { buildApp } from '../helpers/app.ts';
import { readCells } from '../helpers/cells.ts';
import { runLayers } from '../helpers/kernels.ts';
import { readSafetensorsFile } from '../../src/codec/safetensors/read.ts';
import { type TensorToWrite, writeSafetensors } from '../helpers/safetensors.ts';

const folder = join(import.meta.dirname, '../fixtures/cells');
const files = readdirSync(folder).map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')));
const vectors = new Map(readCells().map((vector) => [vector.name, vector]));
const app = await buildApp();

const flat = (value: unknown): number[] => (value === null || value === undefined ? [] : ([value].flat(9) as number[]));
const bits = (numbers: ArrayLike<number>) => new Uint32Array(Float32Array.from(numbers).buffer);

function maxAbsError(actual: unknown, expected: unknown): number {
  const [a, e] = [flat(actual), flat(expected)];
  expect(a).toHaveLength(e.length);
  // The decimal in the answer stands for a float32, and that is what is compared.
  return a.reduce((worst, value, i) => Math.max(worst, Math.abs(Math.fround(value) - e[i]!)), 0);
}

/** States as requests have them: of one layer in one direction without the list around them. */
const inRequest = (states: unknown[] | undefined) => (states?.length === 1 ? states[0] ?? undefined : states);

function inputOf({ x, h, c, lengths }: any) {
  const hasC = c?.some((entry: unknown) => entry !== null);
  return { x, h: inRequest(h), c: hasC ? inRequest(c) : undefined, lengths };
}

/** The tensors of layers in JSON, under the names of this server. */
function tensorsOf(layers: any[]): Record<string, TensorToWrite> {
  const entries = layers.flatMap((layer, k) =>
    [layer, layer.backward ?? {}].flatMap((fields, direction) =>
      Object.entries(fields)
        .filter(([, value]) => Array.isArray(value))
        .map(([name, value]) => [`layers.${k}.${direction === 1 ? 'backward.' : ''}${name}`, tensorOf(value)]),
    ),
  );
  return Object.fromEntries(entries);
}

const descriptionOf = (layers: any[]) =>
  layers.map((layer) => Object.fromEntries(Object.entries(layer).filter(([, value]) => typeof value === 'string')));

function tensorOf(value: unknown): TensorToWrite {
  const shape: number[] = [];
  for (let inner = value; Array.isArray(inner); inner = inner[0]) shape.push(inner.length);
  return { shape, data: Float32Array.from(flat(value)) };
}

function statesOf(name: string, states: unknown[] | undefined): Record<string, TensorToWrite> {
  const given = (states ?? []).map((state, k) => [states!.length === 1 ? name : `${name}.${k}`, state] as const);
  return Object.fromEntries(given.filter(([, state]) => state !== null).map(([key, state]) => [key, tensorOf(state)]));
}

const postFile = (url: string, tensors: Record<string, TensorToWrite>, metadata: Record<string, string>) =>
  app.http.inject({
    method: 'POST',
    url,
    headers: { 'content-type': 'application/octet-stream' },
    payload: Buffer.from(writeSafetensors(tensors, metadata)),
  });

const isForward = ({ layers }: any) => layers.every(({ direction = 'forward' }) => direction === 'forward');

describe('torch vectors with layers', () => {
  test.each(files)('$name, registered and inline, has at most the error of torch, and the bits of the kernels', async (file) => {
    const { layers, expected, torch_float32_max_abs_error: torchError } = file;
    const { status, body: model } = await app.post('/v1/models', { layers });
    expect([200, 201]).toContain(status);
    const registered = await app.post('/v1/sequence', { model: model.id, ...inputOf(file) });
    const inline = await app.post('/v1/sequence', { weights: { layers }, ...inputOf(file) });
    expect(registered.status, registered.body.detail).toBe(200);
    expect(inline.body).toEqual(registered.body);
    const { hs, h, c, ys } = registered.body;
    const errors = [
      maxAbsError(hs, expected.hs),
      maxAbsError(h, expected.h),
      maxAbsError(c, expected.c?.some((entry: unknown) => entry !== null) ? expected.c : []),
      maxAbsError(ys, expected.ys ?? []),
    ];
    expect(Math.max(...errors) / torchError).toBeLessThanOrEqual(1);

    const vector = vectors.get(file.name)!;
    const computed = runLayers(vector.layers, vector.input);
    expect(bits(flat(hs))).toEqual(bits(computed.hs!));
    expect(bits(flat(h))).toEqual(bits(computed.h.flatMap((state) => [...state])));
    expect(bits(flat(c))).toEqual(bits(computed.c.flatMap((state) => [...(state ?? [])])));
    if (computed.ys) expect(bits(flat(ys))).toEqual(bits(computed.ys));
  });

  test.each(files)('$name as files, registered and inline, has the same id and the same bits', async (file) => {
    const { body: model } = await app.post('/v1/models', { layers: file.layers });
    const weights = tensorsOf(file.layers);
    const description = { 'carryover.layers': JSON.stringify(descriptionOf(file.layers)) };
    const registered = await postFile('/v1/models', weights, description);
    expect(registered.json(), registered.body).toMatchObject({ id: model.id });

    const { body: whole } = await app.post('/v1/sequence', { model: model.id, ...inputOf(file) });
    const { lengths } = file;
    const inputs = { x: tensorOf(file.x), ...statesOf('h', file.h), ...statesOf('c', file.c) };
    const metadata = { ...description, ...(lengths && { lengths: lengths.join(',') }) };
    const inline = await postFile('/v1/sequence', { ...weights, ...inputs }, metadata);
    expect(inline.statusCode, inline.body).toBe(200);
    const { tensors } = readSafetensorsFile(inline.rawPayload);
    expect(bits([...tensors.get('hs')!.data])).toEqual(bits(flat(whole.hs)));
    const listed = (name: string) => [...tensors].filter(([key]) => key === name || key.startsWith(`${name}.`));
    for (const name of ['h', 'c', 'y', 'ys']) {
      expect(bits(listed(name).flatMap(([, { data }]) => [...data]))).toEqual(bits(flat(whole[name]).filter((number) => number !== null)));
    }
  });

  test.each(files.filter((file) => isForward(file) && !file.lengths))('$name, step by step, has the bits of the sequence', async (file) => {
    const { body: model } = await app.post('/v1/models', { layers: file.layers });
    const { x, h, c } = inputOf(file);
    const whole = await app.post('/v1/sequence', { model: model.id, x, h, c });
    let state = { h, c };
    for (const [t, x_t] of x.entries()) {
      const { status, body } = await app.post('/v1/step', { model: model.id, x: x_t, ...state });
      expect(status, body.detail).toBe(200);
      const top = Array.isArray(body.h[0][0]) ? body.h.at(-1) : body.h;
      expect(top).toEqual(whole.body.hs[t]);
      expect(body.y).toEqual(whole.body.ys?.[t]);
      state = { h: body.h, c: body.c };
    }
    expect(state).toEqual({ h: whole.body.h, c: whole.body.c });
  });

  test.each(files.filter(isForward))('$name, as a stream, has the bits of the whole answer', async (file) => {
    const { body: model } = await app.post('/v1/models', { layers: file.layers });
    const request = { model: model.id, ...inputOf(file) };
    const { body: whole } = await app.post('/v1/sequence', request);
    const answer = await app.http.inject({
      method: 'POST',
      url: '/v1/sequence',
      headers: { accept: 'application/x-ndjson' },
      payload: request,
    });
    const lines = answer.body.trim().split('\n').map((line) => JSON.parse(line));
    const last = lines.pop();
    expect(lines.map((line) => line.h)).toEqual(whole.hs);
    if (whole.ys) expect(lines.map((line) => line.y)).toEqual(whole.ys);
    expect(last).toEqual({ done: true, t: file.T, h: whole.h, c: whole.c, y: whole.y });
  });

  test.each(files.filter(isForward))('$name with layout NTD has the same numbers', async (file) => {
    const { body: model } = await app.post('/v1/models', { layers: file.layers });
    const { x, ...rest } = inputOf(file);
    const swap = (cube: unknown[][]) => cube[0]!.map((_, n) => cube.map((rows) => rows[n]));
    const { body: byTime } = await app.post('/v1/sequence', { model: model.id, x, ...rest, outputs: ['hs'] });
    const { body } = await app.post('/v1/sequence', { model: model.id, x: swap(x), ...rest, layout: 'NTD', outputs: ['hs'] });
    expect(body.hs).toEqual(swap(byTime.hs));
  });

  test('all vectors are present', () => {
    expect(files.length).toBeGreaterThanOrEqual(23);
  });
});

const RNN = { type: 'rnn', W_x: [[0.5, -0.25]], W_h: [[0.1, 0.2], [-0.3, 0.4]], b: [0.01, -0.02] };
const LSTM = { type: 'lstm', W_x: [[1, 2, 3, 4], [5, 6, 7, 8]], W_h: [[1, 2, 3, 4]] };
const GRU = { type: 'gru', W_x: [[1, 2, 3]], W_h: [[1, 2, 3]], b: [1, 2, 3], b_h: [4, 5, 6] };
const idOf = async (body: object) => {
  const answer = await app.post('/v1/models', body);
  expect(answer.body.detail).toBeUndefined();
  return answer.body.id as string;
};

describe('ids', () => {
  test('one tanh layer, with a linear dense layer or without, is the short form', async () => {
    const { W_x, W_h, b } = RNN;
    const weights = { W_x, W_h, b };
    const readout = { W_y: [[1], [-1]], b_y: [0.5] };
    expect(await idOf({ layers: [RNN] })).toBe(await idOf({ weights }));
    expect(await idOf({ layers: [RNN, { type: 'dense', W: readout.W_y, b: readout.b_y }] })).toBe(await idOf({ weights, readout }));
    const halves = { ...RNN, b: [0.005, -0.01], b_h: [0.005, -0.01] };
    expect(await idOf({ layers: [{ ...RNN, b: [-0, 1] }] })).toBe(await idOf({ weights: { ...weights, b: [-0, 1] } }));
    expect(await idOf({ layers: [halves] })).toBe(await idOf({ weights }));
    const { body } = await app.post('/v1/models', { layers: [RNN] });
    expect(body).toMatchObject({ D: 1, H: 2, activation: 'tanh' });
    expect(body.layers).toBeUndefined();
  });

  test('the order of fields and what is the default do not change the id; everything else does', async () => {
    const id = await idOf({ layers: [GRU] });
    const { b_h, b, W_h, W_x } = GRU;
    expect(await idOf({ layers: [{ b_h, b, W_h, W_x, reset: 'after', direction: 'forward', type: 'gru' }] })).toBe(id);
    const others = [
      [{ ...GRU, reset: 'before' }],
      [{ ...GRU, direction: 'reverse' }],
      [{ ...GRU, b: [1, 2, 4] }],
      // n of both biases are not added: r ∘ stands before one of them.
      [{ ...GRU, b: [1, 2, 9], b_h: [4, 5, 0] }],
      [{ ...GRU }, { type: 'affine', scale: [1], offset: [0] }],
      [{ type: 'affine', scale: [1], offset: [0] }, { ...GRU }],
    ];
    const ids = await Promise.all(others.map((layers) => idOf({ layers })));
    expect(new Set([id, ...ids]).size).toBe(others.length + 1);
    // Those of r and z are.
    expect(await idOf({ layers: [{ ...GRU, b: [4, 2, 3], b_h: [1, 5, 6] }] })).toBe(id);
  });

  test('a model shows its layers without their weights', async () => {
    const layers = [{ type: 'embedding', E: [[1, 2], [3, 4], [5, 6]] }, LSTM, { type: 'dense', W: [[1, 2]], activation: 'softmax' }];
    const { body } = await app.post('/v1/models', { layers, name: 'shown' });
    expect(body).toMatchObject({
      D: 1,
      H: 1,
      O: 2,
      layers: [
        { type: 'embedding', V: 3, D: 2 },
        { type: 'lstm', D: 2, H: 1, direction: 'forward' },
        { type: 'dense', I: 1, O: 2, activation: 'softmax' },
      ],
    });
    const read = await app.http.inject('/v1/models/shown');
    expect(read.json()).toEqual(body);
  });
});

describe('layers that do not fit together', () => {
  const dense = (rows: number, columns: number) => ({ type: 'dense', W: Array.from({ length: rows }, () => Array(columns).fill(1)) });
  test.each([
    [[LSTM, { ...GRU, W_x: [[1, 2, 3], [4, 5, 6]] }], '/layers/1/W_x', 'layers[1] (gru): W_x has shape (D, 3H) = (2, 3), expected (1, 3), because layers[0] (lstm) has 1 outputs.'],
    [[{ ...LSTM, W_h: [[1, 2, 3, 4], [1, 2, 3, 4]] }], '/layers/0/W_h', 'layers[0] (lstm): W_h has shape (H, 4H) = (2, 4), expected (1, 4), because W_x (D, 4H) = (2, 4) makes H = 1.'],
    [[{ ...LSTM, W_x: [[1, 2, 3]] }], '/layers/0/W_x', 'layers[0] (lstm): W_x has shape (D, 4H) = (1, 3), expected a multiple of 4 columns, because it has 4 gates, i, f, g, o, of H columns each.'],
    [[{ ...GRU, b_h: [1] }], '/layers/0/b_h', 'layers[0] (gru): b_h has shape (3H,) = (1,), expected (3,), because W_x (D, 3H) = (1, 3) makes H = 1.'],
    [[RNN, dense(3, 1)], '/layers/1/W', 'layers[1] (dense): W has shape (I, O) = (3, 1), expected (2, 1), because layers[0] (rnn) has 2 outputs.'],
    [[RNN, { ...dense(2, 1), b: [1, 2] }], '/layers/1/b', 'layers[1] (dense): b has shape (O,) = (2,), expected (1,), because W (I, O) = (2, 1) makes O = 1.'],
    [[{ type: 'affine', scale: [1], offset: [1, 2] }, RNN], '/layers/0/offset', 'layers[0] (affine): offset has shape (D,) = (2,), expected (1,), because scale makes D = 1.'],
    [[{ type: 'embedding', E: [[1, 2]] }, RNN], '/layers/1/W_x', 'layers[1] (rnn): W_x has shape (D, H) = (1, 2), expected (2, 2), because layers[0] (embedding) has 2 outputs.'],
    [[{ ...RNN, direction: 'bidirectional', backward: { W_x: [[1]], W_h: [[1]] } }], '/layers/0/backward/W_x', 'layers[0] (rnn): backward.W_x has shape (D, H) = (1, 1), expected (1, 2), because W_x of the forward direction (D, H) = (1, 2) makes D = 1 and H = 2.'],
  ])('case %#', async (layers, pointer, message) => {
    const answer = await app.post('/v1/models', { layers });
    expect(answer.body).toMatchObject({ status: 422, code: 'shape_mismatch', detail: message, errors: [{ pointer, message }] });
  });

  test.each([
    [{ layers: [] }, '/layers', 'not be empty'],
    [{ layers: [{ type: 'affine', scale: [1], offset: [0] }] }, '/layers', 'at least one layer of type rnn, gru or lstm'],
    [{ layers: [RNN, { type: 'embedding', E: [[1]] }] }, '/layers/1/type', 'as the first layer only'],
    [{ layers: [{ ...RNN, direction: 'bidirectional' }] }, '/layers/0/backward', 'backward is required'],
    [{ layers: [{ ...RNN, backward: { W_x: [[1]], W_h: [[1]] } }] }, '/layers/0/backward', 'expected no backward'],
    [{ layers: [{ W_x: [[1]] }] }, '/layers/0/type', 'is required'],
    [{ layers: [{ type: 'conv' }] }, '/layers/0/type', 'must be one of embedding, affine, dense, rnn, gru, lstm, got "conv"'],
    [{ layers: [{ ...RNN, reset: 'after' }] }, '/layers/0/reset', 'is not a known field'],
    [{ layers: [RNN, { type: 'dense' }] }, '/layers/1/W', 'is required'],
    [{ layers: [{ ...RNN, activation: 'sigmoid' }] }, '/layers/0/activation', 'must be one of ["tanh","relu"]'],
    [{ layers: Array.from({ length: 33 }, () => RNN) }, '/layers', '32'],
    [{ layers: [RNN], weights: { W_x: [[1]], W_h: [[1]] } }, '/weights', 'layers and weights'],
    [{ layers: [RNN], readout: { W_y: [[1]] } }, '/readout', 'layers and readout'],
    [{ name: 'nothing' }, '', 'got neither'],
  ])('%j is refused', async (body, pointer, part) => {
    const answer = await app.post('/v1/models', body);
    expect(answer.body).toMatchObject({ status: 400, code: 'invalid_request', errors: [{ pointer }] });
    expect(answer.body.detail).toContain(part);
  });
});
