// Calls with models of several layers as safetensors files, by POST and over a WebSocket: states by their numbers, row
// numbers of an embedding as integers.
import { describe, expect, test } from 'vitest';
import { readSafetensorsFile } from '../../../src/codec/safetensors/read.ts';
import { type TensorToWrite, writeSafetensors } from '../../helpers/safetensors.ts';
import { listen } from '../websocket/server.ts';

const server = await listen();
const { app } = server;
const connect = (id: string) => server.connect(id);

const E = [[1, 0], [0, 1], [-1, 0.5]];
const LSTM = { type: 'lstm', W_x: [[1, 2, 3, 4], [5, 6, 7, 8]], W_h: [[1, 2, 3, 4]], b: [0.1, 0.2, 0.3, 0.4] };
const GRU = { type: 'gru', W_x: [Array(6).fill(0.5)], W_h: [Array(6).fill(0.25), Array(6).fill(-0.25)] };
const register = async (name: string, layers: readonly object[]) => {
  const { status, body } = await app.post('/v1/models', { name, layers });
  expect(status, body.detail).toBe(201);
};
await register('text', [{ type: 'embedding', E }, LSTM, GRU, { type: 'dense', W: [[1], [2]] }]);
await register('lstm', [LSTM]);

const f32 = (shape: number[], ...data: number[]): TensorToWrite => ({ shape, data: Float32Array.of(...data) });
const i64 = (shape: number[], ...data: number[]): TensorToWrite => ({ shape, data: BigInt64Array.from(data.map(BigInt)) });
const fileOf = (tensors: Record<string, TensorToWrite>, metadata: Record<string, string>) =>
  Buffer.from(writeSafetensors(tensors, metadata));

const send = (url: string, tensors: Record<string, TensorToWrite>, metadata: Record<string, string>, accept = 'application/json') =>
  app.http.inject({
    method: 'POST',
    url,
    headers: { 'content-type': 'application/vnd.carryover.safetensors', accept },
    payload: fileOf(tensors, metadata),
  });
const asJson = async (...call: Parameters<typeof send>) => (await send(...call)).json();

const STATES = { 'h.0': f32([1, 1], 0.5), 'h.1': f32([1, 2], 0.25, -0.25), 'c.0': f32([1, 1], 2) };
const JSON_STATES = { h: [[[0.5]], [[0.25, -0.25]]], c: [[[2]], null] };

describe('a file', () => {
  test('has h and c of several layers by their numbers, in the answer too', async () => {
    const { body } = await app.post('/v1/step', { model: 'text', x: [2], ...JSON_STATES });
    expect(await asJson('/v1/step', { x: i64([1], 2), ...STATES }, { model: 'text' })).toEqual(body);
    const answer = await send('/v1/step', { x: f32([1], 2), ...STATES }, { model: 'text' }, 'application/octet-stream');
    const { tensors } = readSafetensorsFile(answer.rawPayload);
    expect([...tensors.keys()].toSorted()).toEqual(['c.0', 'h.0', 'h.1', 'y']);
    expect([...tensors.get('c.0')!.data].map((value) => Math.fround(value))).toEqual(body.c[0].flat().map(Math.fround));
  });

  test('has h and c of one layer without numbers', async () => {
    const { body } = await app.post('/v1/step', { model: 'lstm', x: [[1, 2]], h: [[0.5]], c: [[2]] });
    const tensors = { x: f32([1, 2], 1, 2), h: f32([1, 1], 0.5), c: f32([1, 1], 2) };
    expect(await asJson('/v1/step', tensors, { model: 'lstm' })).toEqual(body);
  });

  test.each([
    ['I64', i64([3, 2], 0, 1, 2, 1, 0, 2)],
    ['I32', { shape: [3, 2], data: Int32Array.of(0, 1, 2, 1, 0, 2) }],
    ['F32', f32([3, 2], 0, 1, 2, 1, 0, 2)],
    ['F64', { shape: [3, 2], data: Float64Array.of(0, 1, 2, 1, 0, 2) }],
  ])('has row numbers as %s, with time outermost or innermost', async (_, x) => {
    const byTime = await asJson('/v1/sequence', { x }, { model: 'text' });
    expect(byTime).toEqual((await app.post('/v1/sequence', { model: 'text', x: [[0, 1], [2, 1], [0, 2]] })).body);
    const byRow = await asJson('/v1/sequence', { x }, { model: 'text', layout: 'NTD' });
    expect(byRow).toEqual((await app.post('/v1/sequence', { model: 'text', x: [[0, 1], [2, 1], [0, 2]], layout: 'NTD' })).body);
  });

  test.each(['TND', 'NTD'])('has so many row numbers that a worker reads them, with layout %s', async (layout) => {
    const numbers = Array.from({ length: 40_000 }, (_, k) => (k * k) % 3);
    const shape = layout === 'TND' ? [20_000, 2] : [2, 20_000];
    const metadata = { model: 'text', layout, outputs: 'h' };
    const answer = await asJson('/v1/sequence', { x: i64(shape, ...numbers) }, metadata);
    expect(answer.h).toHaveLength(2);
    expect(answer).toEqual(await asJson('/v1/sequence', { x: f32(shape, ...numbers) }, metadata));
    const wrong = await asJson('/v1/sequence', { x: i64(shape, ...numbers.with(31_111, 3)) }, metadata);
    expect(wrong).toMatchObject({ code: 'out_of_range', errors: [{ pointer: layout === 'TND' ? '/x/15555/1' : '/x/1/11111' }] });
  });

  test.each([
    [{ 'carryover.layers': '[{"type":"lstm"}]' }, 422, 'layers.0.other'],
    [{ 'carryover.layers': '[{"type":"conv"}]' }, 400, 'conv'],
    [{ 'carryover.layers': '[{"type":"lstm"' }, 400, 'JSON'],
    [{}, 400, '"layers.0.W_x" is not a known tensor'],
  ])('with weights that are not those it describes is refused: %j', async (metadata, status, part) => {
    const weights = { 'layers.0.W_x': f32([1, 4], 1, 2, 3, 4), 'layers.0.W_h': f32([1, 4], 1, 2, 3, 4) };
    const tensors = { x: f32([1, 1], 1), ...weights, 'layers.0.other': f32([1], 1) };
    const found = await asJson('/v1/step', tensors, metadata);
    expect(found).toMatchObject({ status });
    expect(found.detail).toContain(part);
  });

  test('has weights or a model, not both, and neither with a session', async () => {
    const tensors = { x: f32([1, 1], 1), 'layers.0.W_x': f32([1, 4], 1, 2, 3, 4), 'layers.0.W_h': f32([1, 4], 1, 2, 3, 4) };
    const layers = { 'carryover.layers': '[{"type":"lstm"}]' };
    expect((await asJson('/v1/step', tensors, layers)).h).toHaveLength(1);
    expect(await asJson('/v1/step', tensors, { ...layers, model: 'lstm' })).toMatchObject({ status: 400, code: 'invalid_request' });
    const { body: session } = await app.post('/v1/sessions', { model: 'lstm' });
    const both = await asJson('/v1/step', tensors, { ...layers, session: session.id });
    expect(both).toMatchObject({ status: 400, code: 'invalid_request', applied: 'no' });
  });

  test.each([
    [{ x: i64([1], 3) }, 422, 'out_of_range', '/x/0', 'is 3, expected an integer 0 … 2'],
    [{ x: i64([1], -1) }, 422, 'out_of_range', '/x/0', 'is -1'],
    [{ x: i64([1], Number.MIN_SAFE_INTEGER) }, 422, 'out_of_range', '/x/0', 'expected an integer 0 … 2'],
    [{ x: i64([1, 1], 1) }, 400, 'invalid_request', '/x', 'x has dtype I64 and shape (1, 1), expected F32, F64, F16, BF16'],
    [{ x: f32([1], 1), 'h.0': i64([1, 1], 1), 'h.1': f32([1, 2], 0, 0) }, 400, 'invalid_request', '/h.0', 'has dtype I64'],
    [{ x: f32([1], 1), ...STATES, h: f32([1, 1], 1) }, 400, 'invalid_request', '/h', 'Expected h, or h.0, h.1, … of several layers, got both'],
    [{ x: f32([1], 1), 'h.0': f32([1, 1], 1) }, 422, 'shape_mismatch', '/h', 'h has 1 entries, expected 2'],
    [{ x: f32([1], 1), 'h.0': f32([1, 1], 1), 'h.3': f32([1, 1], 1) }, 422, 'shape_mismatch', '/h', 'h has 4 entries, expected 2'],
    [{ x: f32([1], 1), ...STATES, 'c.1': f32([1, 2], 1, 1) }, 422, 'shape_mismatch', '/c/1', 'has no cell state c'],
    [{ x: f32([1], 1), 'h.01': f32([1, 1], 1) }, 400, 'invalid_request', '', '"h.01" is not a known tensor'],
    [{ x: f32([1], 1), 'h.100': f32([1, 1], 1) }, 400, 'invalid_request', '', '"h.100" is not a known tensor'],
  ] as const)('%# is refused', async (tensors, status, code, pointer, part) => {
    const found = await asJson('/v1/step', tensors, { model: 'text' });
    expect(found).toMatchObject({ status, code });
    if (pointer) expect(found.errors[0].pointer).toBe(pointer);
    expect(found.detail).toContain(part);
  });
});

describe('a WebSocket of a model with an embedding', () => {
  test('takes an x (N) as a step and (T, N) as a sequence, in both forms, as the POST routes do', async () => {
    const { body: session } = await app.post('/v1/sessions', { model: 'text' });
    const { client } = await connect(session.id);
    const step = await client.ask({ id: 1, x: [1] });
    expect(step).toMatchObject((await app.post('/v1/step', { model: 'text', x: [1] })).body);
    const { body: sequence } = await app.post('/v1/sequence', { model: 'text', x: [[2], [0]], h: step.h, c: step.c });
    expect(await client.ask({ id: 2, x: [[2], [0]] })).toMatchObject(sequence);
    client.send(fileOf({ x: i64([2, 1], 1, 1) }, { id: '3', outputs: 'h' }));
    const { tensors } = readSafetensorsFile((await client.next()) as Buffer);
    const { body: last } = await app.post('/v1/sequence', { model: 'text', x: [[1], [1]], h: sequence.h, c: sequence.c });
    expect([...tensors.get('h.1')!.data]).toEqual(last.h[1].flat().map(Math.fround));
    expect(tensors.has('hs')).toBe(false);
    const wrong = await client.ask({ id: 4, x: [[[1]]] });
    expect(wrong.error).toMatchObject({ code: 'shape_mismatch', applied: 'no' });
    expect((await client.ask({ id: 5, x: [2] })).session.t).toBe(6);
  });

  test('of vectors takes (N, D) as a step', async () => {
    const { body: session } = await app.post('/v1/sessions', { model: 'lstm' });
    const { client } = await connect(session.id);
    const { body } = await app.post('/v1/step', { model: 'lstm', x: [[1, 2]] });
    expect(await client.ask({ x: [[1, 2]] })).toMatchObject(body);
    expect((await client.ask({ x: [1, 2] })).error).toMatchObject({ code: 'shape_mismatch', applied: 'no' });
  });
});
