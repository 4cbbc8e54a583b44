// Inferences of /v2 against the same computations of /v1, bit for bit; and what is refused of inputs and outputs.
import { beforeAll, describe, expect, test } from 'vitest';
import { buildApp } from '../../helpers/app.ts';
import { row } from '../contract/app.ts';

const app = await buildApp();
const LAYERS = [
  { type: 'embedding', E: [[1, 0], [0, 1], [-1, 0.5]] },
  { type: 'lstm', W_x: [[0.5, -0.25, 1, 0.75], [0.3, 0.8, -0.6, 0.2]], W_h: [[0.1, 0.2, -0.3, 0.4]], b: [0, 1, 0, 0] },
  { type: 'gru', W_x: [[0.5, -0.25, 1]], W_h: [[0.1, 0.2, -0.3]] },
  { type: 'dense', W: [[2, -1]], b: [0, 0.5], activation: 'softmax' },
];
beforeAll(async () => {
  await app.post('/v1/models', { name: 'text', layers: LAYERS });
  await app.post('/v1/models', { name: 'square', weights: { W_x: [row(2), row(2, 0.25)], W_h: [row(2, -0.5), row(2, 0.125)] } });
});

async function infer(body: object | string, model = 'square', headers: Record<string, string> = {}) {
  const response = await app.http.inject({
    method: 'POST',
    url: `/v2/models/${model}/infer`,
    payload: typeof body === 'string' ? body : JSON.stringify(body),
    headers,
  });
  return { status: response.statusCode, body: response.json(), error: response.json().error as string };
}
const fp32 = (name: string, shape: number[], data: unknown) => ({ name, shape, datatype: 'FP32', data });
const outputsOf = (body: any) => Object.fromEntries(body.outputs.map(({ name, data }: any) => [name, data]));

const X = [[[0.5, -1], [0.25, 2]], [[1, 0], [-0.125, 0.5]], [[0, 0.75], [3, -2]]];

describe('a sequence', () => {
  test('data may be flat or nested, and the answer is that of /v1/sequence', async () => {
    const { body: expected } = await app.post('/v1/sequence', { model: 'square', x: X });
    for (const data of [X, X.flat(2)]) {
      const { body } = await infer({ inputs: [fp32('x', [3, 2, 2], data)] });
      expect(outputsOf(body)).toEqual({ hs: expected.hs, h: expected.h });
    }
    // Long enough to be read by the kernel, and by a job.
    for (const T of [100, 1_000]) {
      const x = Array.from({ length: T }, (_, t) => X[t % 3]!);
      const { body: whole } = await app.post('/v1/sequence', { model: 'square', x, outputs: ['h'] });
      for (const data of [x, x.flat(2)]) {
        const { body } = await infer({ inputs: [fp32('x', [T, 2, 2], data)], outputs: [{ name: 'h' }] });
        expect(outputsOf(body)).toEqual({ h: whole.h });
      }
    }
  });

  test('lengths and first states count', async () => {
    const h = [[0.5, -0.5], [0.25, 1]];
    const { body: expected } = await app.post('/v1/sequence', { model: 'square', x: X, h, lengths: [3, 1] });
    for (const datatype of ['INT32', 'INT64']) {
      const lengths = { name: 'lengths', shape: [2], datatype, data: [3, 1] };
      const { body } = await infer({ inputs: [lengths, fp32('h', [2, 2], h), fp32('x', [3, 2, 2], X)] });
      expect(outputsOf(body)).toEqual({ hs: expected.hs, h: expected.h });
    }
  });

  test('of several layers, states have numbered names, and integers are rows of an embedding', async () => {
    const x = [[0, 1], [2, 2], [1, 0]];
    const { body: expected } = await app.post('/v1/sequence', { model: 'text', x });
    const { body } = await infer({ inputs: [{ name: 'x', shape: [3, 2], datatype: 'INT64', data: x }] }, 'text');
    const { hs, h, c, ys, y } = expected;
    expect(outputsOf(body)).toEqual({ hs, 'h.0': h[0], 'h.1': h[1], 'c.0': c[0], ys, y });
    const states = [fp32('h.0', [2, 1], h[0]), fp32('h.1', [2, 1], h[1]), fp32('c.0', [2, 1], c[0])];
    const { body: next } = await app.post('/v1/step', { model: 'text', x: [1, 2], h, c });
    const again = await infer({ inputs: [{ name: 'x', shape: [2], datatype: 'INT32', data: [1, 2] }, ...states], outputs: [{ name: 'y' }] }, 'text');
    expect(outputsOf(again.body)).toEqual({ y: next.y });
  });

  test('only the outputs that are named are sent, in their order', async () => {
    const { body } = await infer({ id: 'a b', inputs: [fp32('x', [3, 2, 2], X)], outputs: [{ name: 'h' }, { name: 'hs' }] });
    expect(body.outputs.map(({ name }: any) => name)).toEqual(['h', 'hs']);
    expect(body.id).toBe('a b');
  });
});

describe('what is refused', () => {
  const x = fp32('x', [1, 2], [1, 2]);
  const INPUT = '{"name":"x","shape":[1,2],"datatype":"FP32","data":[1,2]}';
  test.each<[string, object | string, RegExp]>([
    ['no inputs', {}, /\/inputs is required/],
    ['no x', { inputs: [fp32('h', [1, 2], [1, 2])] }, /The input x is required; the request has h/],
    ['an unknown input', { inputs: [x, fp32('z', [1], [1])] }, /"z" is no input/],
    ['an input twice', { inputs: [x, x] }, /inputs\[1\], "x", is there twice/],
    ['an output twice', { inputs: [x], outputs: [{ name: 'h' }, { name: 'h' }] }, /^outputs\[1\], "h", is there twice\.$/],
    ['one number too many', { inputs: [{ ...x, shape: [1, 1], data: [1, 2] }] }, /or one array of its one number\.$/],
    ['data that is none', { inputs: [{ ...x, data: 'a' }] }, /: one array of all numbers; or arrays in arrays of this shape; or /],
    ['an unknown output', { inputs: [x], outputs: [{ name: 'y' }] }, /outputs\[0\] is "y", but the outputs of this model are h\./],
    ['hs of a step', { inputs: [x], outputs: [{ name: 'hs' }] }, /"hs", but x has no axis T/],
    ['data of another shape', { inputs: [fp32('x', [1, 2], [[1], [2]])] }, /data of shape \(2, 1\), expected arrays in arrays of shape \(1, 2\), or one array of all 2/],
    ['too few numbers', { inputs: [fp32('x', [1, 2], [1])] }, /expected arrays in arrays of shape/],
    ['ragged data', { inputs: [fp32('x', [2, 2], [[1, 2], [3]])] }, /has 1 elements; its first sibling has 2/],
    ['strings', { inputs: [{ ...x, datatype: 'BYTES', data: ['a', 'b'] }] }, /\/inputs\/0\/data/],
    ['a datatype that is none of a tensor here', { inputs: [{ ...x, datatype: 'UINT8' }] }, /datatype UINT8, expected one of FP32/],
    ['a name of Object', { inputs: [{ ...x, datatype: 'constructor' }] }, /datatype constructor, expected/],
    ['another D', { inputs: [fp32('x', [1, 3], [1, 2, 3])] }, /x has shape \(N, D\) = \(1, 3\), expected \(1, 2\), because model "square" makes D = 2/],
    ['an axis of 0', { inputs: [{ ...x, shape: [0, 2], data: undefined, parameters: { binary_data_size: 0 } }] }, /Inference-Header-Content-Length/],
    ['a size below 0', { inputs: [{ ...x, shape: [-1, 2] }] }, /\/inputs\/0\/shape\/0 must be >= 0/],
    ['integers for a layer of real numbers', { inputs: [{ ...x, shape: [2], datatype: 'INT32' }] }, /expected \(N, D\)/],
    ['real numbers as integers', { inputs: [{ ...x, shape: [1, 1, 2], datatype: 'INT32' }] }, /x has a datatype of integers and shape \(1, 1, 2\): .*numbers are FP32/],
    ['states of integers', { inputs: [x, { ...x, name: 'h', datatype: 'INT32' }] }, /h has a datatype of integers/],
    ['real lengths', { inputs: [fp32('x', [3, 2, 2], X), fp32('lengths', [2], [1, 1])] }, /lengths has a datatype of real numbers/],
    ['lengths below 0', { inputs: [fp32('x', [3, 2, 2], X), { ...x, name: 'lengths', shape: [2], datatype: 'INT32', data: [-1, 1] }] }, /lengths\[0\] is -1/],
    ['too few lengths', { inputs: [fp32('x', [3, 2, 2], X), { ...x, name: 'lengths', shape: [1], datatype: 'INT32', data: [1] }] }, /lengths has shape \(N,\) = \(1,\), expected \(2,\), because x makes N = 2/],
    ['more rows than there may be', { inputs: [fp32('x', [100_000, 2], Array(200_000).fill(1))] }, /N is 100000; this server accepts at most \d+ \(N_MAX\)/],
    ['lengths beyond T', { inputs: [fp32('x', [3, 2, 2], X), { ...x, name: 'lengths', shape: [2], datatype: 'INT32', data: [4, 1] }] }, /lengths\[0\] is 4, expected at most 3/],
    ['a number beyond float32', { inputs: [fp32('x', [1, 2], [1e39, 1])] }, /float32/],
    ['an unknown field', { inputs: [x], trace: true }, /\/trace is not a known field/],
    ['an unknown parameter', { inputs: [x], parameters: { triton_x: 1 } }, /"triton_x" is no parameter of a request/],
    ['an unknown parameter of an output', { inputs: [x], outputs: [{ name: 'h', parameters: { classification: 3 } }] }, /"classification" is no parameter of the output "h"/],
    ['shared memory', { inputs: [{ ...x, parameters: { shared_memory_region: 'a' } }] }, /"shared_memory_region" is no parameter/],
    ['a flag that is none', { inputs: [x], parameters: { binary_data_output: 1 } }, /binary_data_output to be true or false, got 1\./],
    ['a flag that is null', { inputs: [x], parameters: { binary_data_output: null } }, /binary_data_output to be true or false, got null\./],
    ['a timeout', { inputs: [x], parameters: { timeout: 1_000 } }, /JOB_DEADLINE_MS/],
    ['another model', { model_name: 'other', inputs: [x] }, /model_name is "other", but the address is that of 'square'/],
    ['a key twice', `{"inputs":[${INPUT}],"id":"a","id":"b"}`, /twice|appears/],
    ['a sequence id that is nowhere', `{"inputs":[${INPUT}],"sequence_id":18446744073709551615}`, /\/sequence_id is not a known field/],
    ['an id that is no string', { id: 5, inputs: [x] }, /\/id must be a string/],
  ])('%s', async (_, body, error) => {
    const answer = await infer(body);
    expect([answer.status, answer.error]).toEqual([400, expect.stringMatching(error)]);
  });

  test('the header of a session', async () => {
    const answer = await infer({ inputs: [x] }, 'square', { 'x-session-id': 'a'.repeat(22) });
    expect([answer.status, answer.error]).toEqual([400, expect.stringContaining('parameters.sequence_id')]);
  });

  test('a header that belongs to a session, where there is no sequence', async () => {
    const answer = await infer({ inputs: [x] }, 'square', { 'idempotency-key': 'a' });
    expect([answer.status, answer.error]).toEqual([400, expect.stringMatching(/has no meaning without a session.*, or make it a request of a sequence by parameters\.sequence_id\.$/)]);
  });
});
