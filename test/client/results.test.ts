// What the client gives is what the service answers to plain JSON, however it is sent and answered.
import { beforeAll, describe, expect, test } from 'vitest';
import { Carryover, CarryoverError, type ModelInfo, type SessionInfo, Tensor } from '../../src/client/index.ts';
import { makeKeys } from '../helpers/access.ts';
import { type TestService, startService } from './service.ts';

const TANH = { weights: { W_x: [[0.5, -0.25]], W_h: [[0.1, 0.2], [-0.3, 0.4]], b: [0.01, -0.02] }, readout: { W_y: [[2], [-1]], b_y: [0.5] } };
const LSTM = { type: 'lstm', W_x: [[0.5, -0.25, 1, 0.75], [0.3, 0.8, -0.6, 0.2]], W_h: [[0.1, 0.2, -0.3, 0.4]], b: [0, 1, 0, 0] } as const;
const GRU = { type: 'gru', W_x: [[0.5, -0.25, 1]], W_h: [[0.1, 0.2, -0.3]], reset: 'before' } as const;
const TEXT = {
  layers: [
    { type: 'embedding', E: [[1, 0], [0, 1], [-1, 0.5]] },
    LSTM,
    GRU,
    { type: 'dense', W: [[2, -1]], b: [0, 0.5], activation: 'softmax' },
  ],
} as const;
const TWO_WAYS = { layers: [{ ...GRU, reset: 'after', direction: 'bidirectional', backward: { W_x: [[1, 0.5, 0.25]], W_h: [[0.3, 0.2, 0.1]] } }] } as const;

let service: TestService;
let carryover: Carryover;
beforeAll(async () => {
  service = await startService({ BASE_PATH: '/ml/rnn' });
  carryover = service.client();
  await carryover.waitUntilReady();
  await carryover.models.register(TANH, { name: 'tanh' });
  await carryover.models.register(TEXT, { name: 'text' });
});

/** Tensors as nested arrays, as JSON has them. */
const plain = (value: unknown) => JSON.parse(JSON.stringify(value)) as Record<string, unknown>;

/** The service's own JSON, whose numbers are read to the float32 that they stand for. */
async function answerOf(path: string, body: object) {
  const { body: answer } = await service.app.post(path, body);
  return rounded(answer) as Record<string, unknown>;
}

function rounded(value: unknown): unknown {
  if (typeof value === 'number') return Math.fround(value);
  if (Array.isArray(value)) return value.map(rounded);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, rounded(member)]));
}

/** The same values as tensors: then the client sends a file. */
function typed<Value>(value: Value): Value {
  const isTensor = Array.isArray(value) && JSON.stringify(value).match(/null|\{/) === null;
  if (isTensor) return Tensor.from(value as never) as Value;
  return value;
}

const CASES: readonly [string, 'step' | 'sequence', object][] = [
  ['a step', 'step', { model: 'tanh', x: [[1], [-0.5]], h: [[0.1, 0.2], [0.3, 0.4]] }],
  ['a step with its trace', 'step', { model: 'tanh', x: [[1]], trace: true }],
  ['a step of several layers', 'step', { model: 'text', x: [2], h: [[[0.5]], [[-0.5]]], c: [[[1]], null] }],
  ['a step of several layers with its trace', 'step', { model: 'text', x: [2], trace: true }],
  ['a step with weights in the request', 'step', { weights: TANH.weights, x: [[1]] }],
  ['a step with layers in the request', 'step', { weights: TEXT, x: [1, 2] }],
  ['a sequence', 'sequence', { model: 'tanh', x: [[[1], [2]], [[-1], [0]], [[0.5], [0]]], lengths: [3, 1] }],
  ['a sequence of rows', 'sequence', { model: 'tanh', x: [[[1], [2]], [[-1], [0]], [[0.5], [0]]], layout: 'NTD' }],
  ['a sequence with its trace', 'sequence', { model: 'text', x: [[1, 2], [0, 0]], trace: true }],
  ['the outputs ys and c of a sequence', 'sequence', { model: 'text', x: [[1], [2]], outputs: ['ys', 'c'] }],
  ['the output h of a sequence', 'sequence', { model: 'text', x: [[1], [2]], outputs: ['h'] }],
];

describe('a computation', () => {
  test.each(CASES)('%s has the bits of the JSON of the service', async (_, verb, input) => {
    const expected = await answerOf(`/ml/rnn/v1/${verb}`, input);
    expect(plain(await carryover[verb](input as never))).toEqual(expected);
    const { x, h, c } = input as { x: number[]; h?: number[]; c?: (number[] | null)[] };
    const sent = { ...input, x: typed(x), ...(h && { h: h.map(typed) }), ...(c && { c: c.map(typed) }) };
    // h of one layer is one tensor, and no list of its rows.
    if (typeof h?.[0]?.[0 as never] === 'number') sent.h = typed(h);
    expect(plain(await carryover[verb](sent as never))).toEqual(expected);
  });

  test('-0 is sent as -0, in arrays as in tensors', async () => {
    const states: unknown[] = [];
    for (const h of [[[-0, 1]], Tensor.from([[-0, 1]])]) {
      await using session = await carryover.sessions.create({ model: 'tanh', h });
      states.push((await session.read()).h);
      await session.set({ h: [[0, 0]] });
      await session.set({ h });
      states.push((await session.read()).h);
    }
    // toEqual() tells 0 from -0.
    expect(states).toEqual(Array.from({ length: 4 }, () => new Tensor([1, 2], [-0, 1])));
  });

  test.each<[string, () => Promise<unknown>, string]>([
    ['a number that is not finite', () => carryover.step({ model: 'tanh', x: [[1], [Number.NaN]] }), 'x[1][0] is NaN, expected a finite number.'],
    ['such a number in a tensor', () => carryover.sessions.create({ model: 'tanh', h: Tensor.from([[0, -Infinity]]) }), 'h[0][1] is -Infinity, expected a finite number.'],
    [
      'such a weight',
      () => carryover.models.register({ layers: [{ type: 'dense', W: [[1, Number.NaN]] }] }),
      'layers[0].W[0][1] is NaN, expected a finite number.',
    ],
    [
      'a typed array',
      () => carryover.step({ model: 'tanh', x: Float32Array.of(1) as never }),
      'x is a Float32Array, which has no shape: expected nested arrays, or new Tensor([N, D], data).',
    ],
    [
      'typed rows',
      () => carryover.step({ model: 'tanh', x: [Float32Array.of(1)] as never }),
      'x[0] is a Float32Array, which has no shape: expected nested arrays, or new Tensor([N, D], data).',
    ],
    [
      'a typed array of integers',
      () => carryover.step({ model: 'tanh', x: Int8Array.of(1) as never }),
      'x is an Int8Array, which has no shape: expected nested arrays, or new Tensor([N, D], data).',
    ],
    ['an object', () => carryover.step({ model: 'tanh', x: {} as never }), 'nested arrays of numbers; x is an object.'],
    ['nothing', () => (carryover.step as () => Promise<unknown>)(), 'Expected { model or weights, x }, with x a Tensor or nested arrays of numbers; x is missing.'],
  ])('%s is refused with its place, before anything is sent', async (_, call, message) => {
    await expect(call()).rejects.toThrow(message);
  });

  test('a stream has the steps of the whole sequence, and its end', async () => {
    const input = { model: 'text', x: Array.from({ length: 50 }, (_, t) => [t % 3]) };
    const whole = await carryover.sequence(input);
    const items = await Array.fromAsync(carryover.streamSequence(input));
    const end = items.pop();
    expect(items.map(({ t }) => t)).toEqual(input.x.map((_, t) => t + 1));
    expect(items.map(({ h }) => plain(h))).toEqual(plain(whole.hs));
    expect(items.map(({ y }) => plain(y))).toEqual(plain(whole.ys));
    expect(plain(end)).toEqual({ done: true, t: 50, ...plain({ h: whole.h, c: whole.c, y: whole.y }) });
  });

  test('what the service refuses is an error with its problem', async () => {
    const error = await carryover.step({ model: 'tanh', x: [[1, 2]] }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(CarryoverError);
    const { code, status, applied, message, problem } = error as CarryoverError;
    expect({ code, status, applied }).toEqual({ code: 'shape_mismatch', status: 422, applied: undefined });
    expect(message).toBe('x has shape (N, D) = (1, 2), expected (1, 1), because model "tanh" makes D = 1.');
    expect(problem).toMatchObject({ type: '/ml/rnn/problems#shape_mismatch', errors: [{ pointer: '/x' }] });
    await expect(carryover.streamSequence({ model: 'nobody', x: [[[1]]] }).next()).rejects.toMatchObject({ code: 'model_not_found' });
  });
});

describe('models', () => {
  test.each([['tanh', TANH], ['layers', TEXT], ['two ways', TWO_WAYS]])('%s: tensors are the same model as arrays', async (_, model) => {
    const withTensors = (value: unknown): unknown => {
      if (Array.isArray(value)) return typeof value[0] === 'object' && !Array.isArray(value[0]) ? value.map(withTensors) : Tensor.from(value as never);
      if (typeof value !== 'object' || value === null) return value;
      return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, withTensors(member)]));
    };
    const { id } = await carryover.models.register(model);
    const info = await carryover.models.register(withTensors(model) as never);
    expect(info.id).toBe(id);
    // It was sent as a file.
    expect(info.tensors).toBeDefined();
  });

  test('are named, listed page by page, read and deleted', async () => {
    const made: ModelInfo[] = [];
    for (let k = 0; k < 3; k++) made.push(await carryover.models.register({ weights: { W_x: [[k]], W_h: [[k]] } }, { name: `m${k}` }));
    const moved = await carryover.models.point('other', 'm0');
    expect(moved.names).toEqual(['m0', 'other']);
    const listed = await Array.fromAsync(carryover.models.list());
    expect(listed.map(({ id }) => id)).toEqual(expect.arrayContaining(made.map(({ id }) => id)));
    expect(await carryover.models.get('other')).toEqual(moved);
    await carryover.models.delete('m0');
    await expect(carryover.models.get('other')).rejects.toMatchObject({ code: 'model_not_found', status: 404 });
    await expect(carryover.models.delete('m0')).rejects.toMatchObject({ code: 'model_not_found' });
  });

  test('files are imported, with a description of what their names do not tell', async () => {
    const expected = await carryover.models.register({ layers: [LSTM] });
    const file = await torchFile();
    const layers = [{ type: 'lstm', name: 'memory' }];
    for (const form of [file, file.buffer, new Blob([file])]) {
      expect((await carryover.models.import(form, { layers, name: 'imported' })).id).toBe(expected.id);
    }
    await expect(carryover.models.import(new Uint8Array(8))).rejects.toMatchObject({ code: 'malformed_model_file' });
  });
});

describe('sessions', () => {
  test('are stepped, read, set, forked, rewound and deleted', async () => {
    const session = await carryover.sessions.create({ model: 'text', N: 2, keep: 4, ttl_s: 60 });
    expect(session.info).toMatchObject({ N: 2, keep: 4, ttl_s: 60, t: 0 });
    const first = await session.step([0, 1]);
    expect(first.session).toMatchObject({ id: session.id, t: 1, version: 1 });
    const { h, c, y } = await carryover.step({ model: 'text', x: [0, 1] });
    expect(plain({ h: first.h, c: first.c, y: first.y })).toEqual(plain({ h, c, y }));
    const traced = await session.step([1, 1], { trace: true });
    expect(traced.trace).toMatchObject({ layers: [{ direction: 'forward' }, { layer: 2 }] });
    const rest = await session.sequence([[2, 2], [0, 0]], { outputs: ['ys', 'c'] });
    expect(plain(rest.c)).toEqual([[[expect.any(Number)], [expect.any(Number)]], null]);
    expect(session).toMatchObject({ t: 4, version: 3, digest: rest.session.digest });

    const state = await session.read();
    expect(state).toMatchObject({ t: 4, kept: [0, 1, 2], model: session.info.model });
    const fork = await session.fork();
    expect(fork.id).not.toBe(session.id);
    expect(await fork.read()).toMatchObject({ t: 4, h: state.h, c: state.c });
    await session.rewind(1);
    expect(session).toMatchObject({ t: 1, version: 4 });
    expect((await session.read()).h).toEqual(first.h);
    await session.set({ ...(state.c && { c: state.c }), h: state.h, t: 7 });
    expect(await session.read()).toMatchObject({ t: 7, h: state.h, c: state.c });

    const listed = await Array.fromAsync(carryover.sessions.list({ model: 'text' }), ({ id }: SessionInfo) => id);
    expect(listed.toSorted()).toEqual([session.id, fork.id].toSorted());
    await fork.delete();
    await expect(fork.step([0, 0])).rejects.toMatchObject({ code: 'session_gone', problem: { reason: 'deleted' } });
    await expect(carryover.sessions.open(fork.id)).rejects.toMatchObject({ code: 'session_gone' });
    await session.delete();
  });

  test('are deleted when they are disposed of, also after the signal of the client', async () => {
    const controller = new AbortController();
    const ended = service.client({ signal: controller.signal });
    let id: string;
    {
      await using session = await ended.sessions.create({ model: 'tanh' });
      ({ id } = session);
      // Somebody else has changed it meanwhile.
      await (await carryover.sessions.open(id)).step([[1]]);
      controller.abort();
      await expect(session.step([[1]])).rejects.toThrow('aborted');
    }
    await expect(carryover.sessions.open(id)).rejects.toMatchObject({ code: 'session_gone' });
  });

  test('calls that are made at once are done one after another', async () => {
    const session = await carryover.sessions.create({ model: 'tanh' });
    const xs = Array.from({ length: 20 }, (_, t) => [[t / 10]]);
    const steps = await Promise.all(xs.map((x) => session.step(x)));
    const { hs } = await carryover.sequence({ model: 'tanh', x: xs });
    expect(steps.map(({ session: { t } }) => t)).toEqual(xs.map((_, t) => t + 1));
    expect(steps.map(({ h }) => plain(h))).toEqual(plain(hs));
  });

  test('a session that another client has changed is refused with what to do, and goes on after it was read', async () => {
    const session = await carryover.sessions.create({ model: 'tanh' });
    const other = await carryover.sessions.open(session.id);
    await other.step([[1]]);
    const refused = await session.step([[2]]).catch((error: unknown) => error);
    expect(refused).toMatchObject({ code: 'step_conflict', status: 412, applied: 'no', problem: { t: 1 } });
    expect((refused as Error).message).toMatch(/If-Match says .* read\(\) the session to go on from there\.$/);
    expect(session.t).toBe(0);
    await session.read();
    expect((await session.step([[2]])).session.t).toBe(2);
  });
});

describe('a key', () => {
  const keys = makeKeys();
  const apiKey = keys.add('a');
  let url: string;
  beforeAll(async () => {
    ({ url } = await startService({ API_KEYS_FILE: keys.path }));
  });

  test('goes with every call, and with a WebSocket', async () => {
    const withKey = new Carryover(url, { apiKey });
    const session = await withKey.sessions.create({ model: 'sunspots' });
    const { y } = await session.step([[0.58]]);
    const sockets: string[] = [];
    class Noted extends WebSocket {
      constructor(address: string | URL, protocols?: string | string[]) {
        super(address, protocols);
        this.addEventListener('open', () => sockets.push(this.protocol));
      }
    }
    const streaming = new Carryover(url, { apiKey, WebSocket: Noted });
    const other = await streaming.sessions.create({ model: 'sunspots' });
    const [step] = await Array.fromAsync(other.stream([[[0.58]]]));
    expect(step!.y).toEqual(y);
    expect(sockets).toEqual(['carryover']);
  });

  test('that is missing or wrong is said at once', async () => {
    for (const client of [new Carryover(url), new Carryover(url, { apiKey: `${apiKey}x` })]) {
      await expect(client.step({ model: 'sunspots', x: [[1]] })).rejects.toMatchObject({ code: 'unauthenticated', status: 401, attempts: 1 });
    }
    expect(() => new Carryover(url, { apiKey: 'two words' })).toThrow(TypeError);
    for (const wrong of ['localhost:8080', 'ws://127.0.0.1', 'http://key@127.0.0.1', 'here', '127.0.0.1:8080', '']) {
      expect(() => new Carryover(wrong), wrong).toThrow(/^The address is "(?!.*key@).*", expected one like http:\/\/127\.0\.0\.1:8080/);
    }
  });
});

/** The weights of LSTM as torch names and stores them: transposed. */
async function torchFile(): Promise<Uint8Array<ArrayBuffer>> {
  const { writeTensorFile } = await import('../../src/client/safetensors.ts');
  const transposed = (rows: readonly (readonly number[])[]) => Tensor.from(rows[0]!.map((_, i) => rows.map((row) => row[i]!)));
  return writeTensorFile({
    'memory.weight_ih_l0': transposed(LSTM.W_x),
    'memory.weight_hh_l0': transposed(LSTM.W_h),
    'memory.bias_ih_l0': Tensor.from(LSTM.b),
    'memory.bias_hh_l0': new Tensor([4], [0, 0, 0, 0]),
  }, {});
}
