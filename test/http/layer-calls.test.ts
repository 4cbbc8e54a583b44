// Calls with models of several layers: the forms of x, h and c, what the answer has, and what is refused and why.
import { describe, expect, test } from 'vitest';
import type { Direction } from '../../src/layers.ts';
import { buildApp } from '../helpers/app.ts';
import { layersJson } from '../../load/cases/layers-json.ts';
import { runs } from '../helpers/long.ts';
import { fc } from '../helpers/seed.ts';
import { type Stack, stacks } from '../helpers/stacks.ts';

const app = await buildApp();

const register = async (layers: readonly unknown[], name?: string): Promise<string> => {
  const { body } = await app.post('/v1/models', { layers, name });
  expect(body.detail).toBeUndefined();
  return body.id;
};
const refusal = async (url: string, body: object) => {
  const answer = await app.post(url, body);
  expect(answer.status).toBe(answer.body.status);
  const { status, code, detail, errors } = answer.body;
  return { status, code, detail, pointer: errors?.[0]?.pointer };
};

const LSTM = { type: 'lstm', W_x: [[1, 2, 3, 4], [5, 6, 7, 8]], W_h: [[1, 2, 3, 4]] };
const LSTM_1 = { type: 'lstm', W_x: [[1, 2, 3, 4]], W_h: [[1, 2, 3, 4]] };
const GRU = { type: 'gru', W_x: [Array(6).fill(0.5)], W_h: [Array(6).fill(0.25), Array(6).fill(-0.25)] };
const E = [[1, 0], [0, 1], [-1, 0.5]];
await register([{ type: 'embedding', E }, LSTM, GRU, { type: 'dense', W: [[1], [2]], activation: 'tanh' }], 'text');
await register([LSTM], 'lstm');
await register([{ type: 'rnn', activation: 'relu', W_x: [[1e30]], W_h: [[-1]] }], 'relu');
await register([{ ...LSTM, direction: 'reverse' }], 'reversed');

describe('row numbers of an embedding', () => {
  test.each([
    ['/v1/sequence', [[0, 1], [2, 3]], '/x/1/1', '/x/1/1 is 3, expected an integer 0 … 2: a row number of E (V, D) with V = 3'],
    ['/v1/sequence', [[0, -1], [2, 1]], '/x/0/1', 'is -1'],
    ['/v1/sequence', [[0, 1], [0.5, 1]], '/x/1/0', 'is 0.5'],
    ['/v1/step', [0, 1, 4], '/x/2', 'is 4'],
    ['/v1/step', [0, 1e30], '/x/1', 'is 1e+30'],
  ])('%s with x = %j is refused', async (url, x, pointer, part) => {
    const found = await refusal(url, { model: 'text', x });
    expect(found).toMatchObject({ status: 422, code: 'out_of_range', pointer });
    expect(found.detail).toContain(part);
  });

  test('with layout NTD the element is named as it is in the request', async () => {
    const found = await refusal('/v1/sequence', { model: 'text', layout: 'NTD', x: [[0, 1, 2], [0, 1, 3]] });
    expect(found).toMatchObject({ code: 'out_of_range', pointer: '/x/1/2' });
  });

  test('a long x is checked too, and computed like its rows alone', async () => {
    const x = [Array.from({ length: 4_000 }, (_, n) => n % 3), Array.from({ length: 4_000 }, (_, n) => (n + 1) % 3)];
    const { body } = await app.post('/v1/sequence', { model: 'text', x, outputs: ['y'] });
    const { body: alone } = await app.post('/v1/sequence', { model: 'text', x: x.map((row) => row.slice(0, 3)), outputs: ['y'] });
    expect(body.y).toHaveLength(4_000);
    for (const [n, y] of body.y.entries()) expect(y).toEqual(alone.y[n % 3]);
    x[1]![3_777] = 3;
    expect(await refusal('/v1/sequence', { model: 'text', x })).toMatchObject({ code: 'out_of_range', pointer: '/x/1/3777' });
  });

  test('the form of x is that of the first layer', async () => {
    const vectors = await refusal('/v1/sequence', { model: 'text', x: [[[1, 2]]] });
    expect(vectors).toMatchObject({ status: 422, code: 'shape_mismatch', pointer: '/x' });
    expect(vectors.detail).toContain('expected (T, N) of integers 0 … 2, because layers[0] is an embedding');
    const numbers = await refusal('/v1/sequence', { model: 'lstm', x: [[1, 2]] });
    expect(numbers).toMatchObject({ status: 422, code: 'shape_mismatch', pointer: '/x' });
    expect(numbers.detail).toContain('expected (T, N, D)');
  });
});

describe('states', () => {
  const h = [[[0.5]], [[0.25, -0.25]]];
  const c = [[[2]], null];
  test.each([
    ['text', { h: h[0] }, '/h', 'expected a list of 2, one for each recurrent layer and direction: layers[1] (lstm), layers[2] (gru)'],
    ['text', { h: [h[0]] }, '/h', 'h has 1 entries, expected 2'],
    ['text', { h: [h[0], [[1]]] }, '/h/1', 'h[1] has shape (N, H) = (1, 1), expected (1, 2), because x makes N = 1 and layers[2] (gru) has H = 2'],
    ['text', { h: [h[0], [[1, 2], [3, 4]]] }, '/h/1', 'expected (1, 2)'],
    ['text', { h, c: [null, null] }, '/c/0', 'c[0] is null, expected a tensor (N, H) = (1, 1) of layers[1] (lstm)'],
    ['text', { h, c: [c[0], [[1, 2]]] }, '/c/1', 'c[1] is a tensor, expected null: layers[2] (gru) has no cell state c'],
    ['lstm', { x: [[1, 2]], h: [[[1]]] }, '/h', 'h is a list, expected one tensor (N, H)'],
    ['lstm', { x: [[1, 2]], c: [[1, 2]] }, '/c', 'c has shape (N, H) = (1, 2), expected (1, 1)'],
    ['relu', { x: [[1]], c: [[1]] }, '/c', 'The model has no cell state c'],
  ])('of %s, %j is refused', async (model, body, pointer, part) => {
    const found = await refusal('/v1/step', { model, x: [0], ...body });
    expect(found).toMatchObject({ status: 422, code: 'shape_mismatch', pointer });
    expect(found.detail).toContain(part);
  });

  test.each([
    [{ h: [[[1]], null] }, '/h/1'],
    [{ c: [[[1]], 'null'] }, '/c/1'],
    [{ c: null }, '/c'],
    [{ c: [] }, '/c'],
    [{ h: [[[[1]]]] }, '/h/0/0/0'],
  ])('%j is refused by the schema', async (body, pointer) => {
    expect(await refusal('/v1/step', { model: 'text', x: [0], ...body })).toMatchObject({ status: 400, pointer });
  });

  test('absent states are zeros', async () => {
    const zeros = { h: [[[0]], [[0, 0]]], c: [[[0]], null] };
    const { body } = await app.post('/v1/step', { model: 'text', x: [1], ...zeros });
    expect((await app.post('/v1/step', { model: 'text', x: [1] })).body).toEqual(body);
    expect(Object.keys(body)).toEqual(['h', 'c', 'y']);
    expect(body.c[1]).toBeNull();
  });

  test('states of any sizes come and go in bodies of any length, with the same bits', async () => {
    const forward = { directions: ['forward'] as Direction[] };
    await fc.assert(
      fc.asyncProperty(stacks({ ...forward, T: 2, size: 6 }), fc.constantFrom(1, 40), async ({ layers, input }, times) => {
        const model = await register(layersJson(layers));
        const request = requestOf({ layers, input });
        const { body: step } = await app.post('/v1/step', { model, ...repeated(request, times) });
        expect(step.detail).toBeUndefined();
        const { body: one } = await app.post('/v1/step', { model, ...request });
        for (const name of ['h', 'c', 'y']) expect(step[name]).toEqual(repeatRows(one[name], times));
        await app.http.inject({ method: 'DELETE', url: `/v1/models/${model}` });
      }),
      { numRuns: runs(60) },
    );
  });
});

/** The first step of a mini-batch as a request has it. */
function requestOf({ layers, input: { N, x, h, c } }: Stack) {
  const width = x.length / 2 / N;
  const rows = Array.from({ length: N }, (_, n) => [...x.subarray(n * width, (n + 1) * width)]);
  const states = (list: readonly (Float32Array | undefined)[] | undefined) => {
    const matrices = list?.map((state) => state && rowsOf(state, N));
    if (!matrices?.some(Boolean)) return undefined;
    return matrices.length === 1 ? matrices[0] : matrices.map((matrix) => matrix ?? null);
  };
  return { x: layers[0]!.type === 'embedding' ? rows.flat() : rows, h: states(h), c: states(c) };
}

function rowsOf(state: Float32Array, N: number): number[][] {
  const H = state.length / N;
  return Array.from({ length: N }, (_, n) => [...state.subarray(n * H, (n + 1) * H)]);
}

const repeated = (request: ReturnType<typeof requestOf>, times: number) =>
  Object.fromEntries(Object.entries(request).map(([name, value]) => [name, repeatRows(value, times)]));

/** The rows of a tensor, or of each of a list of them, again and again. */
function repeatRows(value: any, times: number): unknown {
  if (value === undefined) return undefined;
  if (value[0] === null || Array.isArray(value[0]?.[0])) return value.map((one: unknown) => one && repeatRows(one, times));
  return Array.from({ length: times }, () => value).flat();
}

describe('answers', () => {
  const x = [[[1, 2]], [[3, 4]]];

  test('outputs are those that the request names, and hs stands for ys, h for c and y', async () => {
    const keys = async (model: string, outputs?: string[]) => {
      const input = model === 'lstm' ? x : [[0], [2]];
      const { body } = await app.post('/v1/sequence', { model, x: input, outputs });
      return Object.keys(body).join();
    };
    expect(await keys('text')).toBe('hs,h,c,ys,y');
    expect(await keys('text', ['hs'])).toBe('hs,ys');
    expect(await keys('text', ['h'])).toBe('h,c,y');
    expect(await keys('text', ['ys'])).toBe('ys');
    expect(await keys('text', ['hs', 'y'])).toBe('hs,y');
    expect(await keys('lstm')).toBe('hs,h,c');
    expect(await keys('lstm', ['c'])).toBe('c');
    expect(await refusal('/v1/sequence', { model: 'lstm', x, outputs: ['ys'] })).toMatchObject({ status: 400, pointer: '/outputs/0' });
    const noC = await refusal('/v1/sequence', { model: 'relu', x: [[[1]]], outputs: ['h', 'c'] });
    expect(noC).toMatchObject({ status: 400, pointer: '/outputs/1', detail: expect.stringContaining('no layer of type lstm') });
  });

  test('a trace has each gate, and its values give the states', async () => {
    const { body } = await app.post('/v1/sequence', { model: 'lstm', x, trace: true });
    const [{ layer, direction, z, values }, ...more] = body.trace.layers;
    expect([layer, direction, more]).toEqual([0, 'forward', []]);
    for (const gate of ['i', 'f', 'g', 'o']) expect(z[gate]).toHaveLength(2);
    expect(z.i[0]).toEqual([[11]]);
    let cell = 0;
    for (let t = 0; t < 2; t++) {
      const [i, f, g, o] = ['i', 'f', 'g', 'o'].map((gate) => values[gate][t][0][0]);
      cell = f * cell + i * g;
      expect(body.hs[t][0][0]).toBeCloseTo(o * Math.tanh(cell), 6);
    }
    expect(body.c[0][0]).toBeCloseTo(cell, 6);
    const { body: step } = await app.post('/v1/step', { model: 'lstm', x: x[0], trace: true });
    expect(step.trace.layers[0].z.i).toEqual([[11]]);
  });

  test('an infinite state of a relu layer is refused with its row and step, also when the last state is finite', async () => {
    const x = [[[0], [0]], [[0], [1e10]], [[0], [0]]];
    const found = await refusal('/v1/sequence', { model: 'relu', x, outputs: ['h'] });
    expect(found).toMatchObject({ status: 422, code: 'not_finite' });
    expect(found.detail).toContain('row 1 (of 0 … N-1) after step 1 (of 0 … T-1)');
    const { status, body } = await app.post('/v1/sequence', { model: 'relu', x, lengths: [3, 1] });
    expect([status, body.h]).toEqual([200, [[0], [0]]]);
  });
});

describe('what a model cannot do', () => {
  test('a step and a stream with a reversed layer are refused with the reason', async () => {
    const step = await refusal('/v1/step', { model: 'reversed', x: [[1, 2]] });
    expect(step).toMatchObject({ status: 422, code: 'model_unsupported' });
    expect(step.detail).toContain('layers[0] (lstm) is reverse: its state after a step depends on the later steps');
    const stream = await app.http.inject({
      method: 'POST',
      url: '/v1/sequence',
      headers: { accept: 'application/x-ndjson' },
      payload: { model: 'reversed', x: [[[1, 2]]] },
    });
    expect(stream.json()).toMatchObject({ status: 422, code: 'model_unsupported' });
    expect((await app.post('/v1/sequence', { model: 'reversed', x: [[[1, 2]]] })).status).toBe(200);
  });

  test('the limits are those of each layer, and the work is that of all', async () => {
    const small = await buildApp({ D_MAX: '2', H_MAX: '2', V_MAX: '2', WORK_FLOPS_MAX: '1000' });
    const limits = [
      [[{ type: 'embedding', E }, LSTM], '/layers/0/E', 'layers[0] (embedding): V is 3; this server accepts at most 2 (V_MAX).'],
      [[LSTM, { type: 'dense', W: [[1, 2, 3]] }], '/layers/1/W', 'layers[1] (dense): O is 3; this server accepts at most 2 (H_MAX).'],
      [[{ type: 'affine', scale: [1, 2, 3], offset: [1, 2, 3] }, LSTM], '/layers/0/scale', 'layers[0] (affine): D is 3'],
    ] as const;
    for (const [layers, pointer, part] of limits) {
      const { body } = await small.post('/v1/models', { layers });
      expect(body).toMatchObject({ status: 422, code: 'limit_exceeded', errors: [{ pointer }] });
      expect(body.detail).toContain(part);
    }
    const body = { weights: { layers: [LSTM, LSTM_1] }, x: [[1, 2]] };
    expect((await small.post('/v1/step', body)).status).toBe(200);
    const { body: refused } = await small.post('/v1/sequence', { ...body, x: Array.from({ length: 9 }, () => [[1, 2]]) });
    expect(refused).toMatchObject({ code: 'limit_exceeded', detail: expect.stringMatching(/needs \d{4} operations/) });
  });
});
