// The heaviest calls of every route: bodies and answers as large as the defaults allow, legal ones and illegal
// ones. Each held the event loop, or could.
import { writeSafetensors } from '../../src/codec/safetensors/write.ts';
import { WORST_FILES, WORST_JSON } from '../helpers/worst-bodies.ts';
import { heavyModelFiles } from './heavy-model-files.ts';
import { heavyInferences } from './v2/heavy-inferences.ts';

export interface HeavyCall {
  readonly name: string;
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: () => Buffer | Promise<Buffer>;
  /** 'refused': 4xx. */
  readonly status: number | 'refused';
}

const JSON_TYPE = { 'content-type': 'application/json' };
const FILE_TYPE = { 'content-type': 'application/octet-stream' };

/** Of these a worker does something else than of another call; the event loop does the same. */
const LIKE_ANOTHER = new Set([
  'register a file of torch in F16',
  'register a file of a Keras GRU, whose gates change places',
  'register a file with NaN at its end',
  'register a file whose W_h ends with infinity',
  'step with the same weights',
  'a sequence, time inside, h alone',
  'a sequence in F16, time inside',
  'the same as a file',
]);

/** As many layers as a model may have. */
const MODULES = JSON.stringify(Array.from({ length: 32 }, (_, k) => ({ type: 'lstm', name: `lstm${k}` })));

/**
 * @param bytes of a body
 * @param which 'unlike': without calls of which the event loop does the same as of another; 'most': without illegal bodies
 *   that differ little from others
 * @param attempt makes weights and keys that earlier attempts did not send, which would be found where they are kept
 */
export function heavyCalls(
  bytes: number,
  state: { session: string; large: string },
  which: 'unlike' | 'most' | 'every',
  attempt = 0,
): HeavyCall[] {
  const floats = bytes / 4 - 1_000;
  const H = Math.floor(Math.sqrt(floats / 2));
  const answerNumbers = Math.min(4_000_000, floats / 2);
  const numbers = (count: number) => new Float32Array(count).fill(0.001 + attempt / 10_000);
  const view = (shape: number[], data = numbers(shape.reduce((a, b) => a * b, 1))) => ({
    shape,
    strides: shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1)),
    data,
  });
  const text = (shape: readonly number[]): string => {
    const [size, ...inner] = shape as [number, ...number[]];
    const item = inner.length === 0 ? '0.1' : text(inner);
    return `[${`${item},`.repeat(size - 1)}${item}]`;
  };
  const json = (entries: Record<string, string>) =>
    Buffer.from(`{${Object.entries(entries).map(([key, value]) => `"${key}":${value}`).join()}}`);
  const textH = Math.floor(Math.sqrt(bytes / 8.2));
  const weightsText = (seed: string) =>
    `{"W_x":${text([textH, textH])},"W_h":${text([textH, textH])},"b":[${seed}${attempt}${',0.1'.repeat(textH - 1)}]}`;
  const file = (seed: number) => ({
    W_x: view([H, H]),
    W_h: view([H, H]),
    b: view([H], numbers(H).fill(seed)),
  });
  // Half as many bytes an element, so 1.4 times as wide.
  const half = (names: readonly string[]) => f16File(names, Math.floor(Math.sqrt(floats)), attempt);
  const [gruH, lstmH] = [Math.floor(Math.sqrt(floats / 6.1)), Math.floor(Math.sqrt(floats / 16.2))];
  const T = Math.min(65_536, Math.floor(answerNumbers / 64));

  const calls: HeavyCall[] = [
    { name: 'register JSON', path: '/v1/models', headers: JSON_TYPE, body: () => json({ weights: weightsText('0.5') }), status: 201 },
    { name: 'register layers in JSON', path: '/v1/models', headers: JSON_TYPE, body: () => json({ layers: layersText(bytes, attempt) }), status: 201 },
    { name: 'register a file', path: '/v1/models', headers: FILE_TYPE, body: () => writeSafetensors(file(0.25)), status: 201 },
    {
      name: 'register a file of torch',
      path: '/v1/models?activation=tanh',
      headers: FILE_TYPE,
      body: () => writeSafetensors({ 'rnn.weight_ih_l0': view([H, H]), 'rnn.weight_hh_l0': view([H, H]) }),
      status: 201,
    },
    {
      name: 'register a file of torch in F16',
      path: '/v1/models?activation=tanh',
      headers: FILE_TYPE,
      body: () => half(['rnn.weight_ih_l0', 'rnn.weight_hh_l0']),
      status: 201,
    },
    {
      name: 'register a file of a Keras GRU, whose gates change places',
      path: '/v1/models?activation=tanh',
      headers: FILE_TYPE,
      body: () =>
        writeSafetensors({
          'gru/gru_cell/kernel': view([gruH, 3 * gruH]),
          'gru/gru_cell/recurrent_kernel': view([gruH, 3 * gruH]),
          'gru/gru_cell/bias': view([2, 3 * gruH]),
        }),
      status: 201,
    },
    {
      name: 'register a file of an LSTM of torch in both directions',
      path: '/v1/models',
      headers: FILE_TYPE,
      body: () =>
        writeSafetensors(
          Object.fromEntries(
            ['', '_reverse'].flatMap((end) => [
              [`lstm.weight_ih_l0${end}`, view([4 * lstmH, lstmH])],
              [`lstm.weight_hh_l0${end}`, view([4 * lstmH, lstmH])],
              [`lstm.bias_ih_l0${end}`, view([4 * lstmH])],
              [`lstm.bias_hh_l0${end}`, view([4 * lstmH])],
            ]),
          ),
        ),
      status: 201,
    },
    {
      name: 'register a file of as many modules as a header holds',
      path: `/v1/models?layers=${encodeURIComponent(MODULES)}`,
      headers: FILE_TYPE,
      body: () =>
        writeSafetensors(
          Object.fromEntries(
            Array.from({ length: 600 }, (_, k) => [
              [`lstm${k}.weight_ih_l0`, view([4, 1])],
              [`lstm${k}.weight_hh_l0`, view([4, 1])],
            ]).flat(),
          ),
        ),
      status: 422,
    },
    {
      name: 'register a file with NaN at its end',
      path: '/v1/models',
      headers: FILE_TYPE,
      body: () => writeSafetensors({ ...file(0.25), b: view([H], numbers(H).fill(NaN, H - 1)) }),
      status: 422,
    },
    {
      name: 'register a file whose W_h ends with infinity',
      path: '/v1/models',
      headers: FILE_TYPE,
      body: () => writeSafetensors({ ...file(0.25), W_h: view([H, H], numbers(H * H).fill(Infinity, H * H - 1)) }),
      status: 422,
    },
    ...heavyModelFiles(bytes, which !== 'unlike', attempt),
    { name: 'step with weights in JSON', path: '/v1/step', headers: JSON_TYPE, body: () => json({ weights: weightsText('0.75'), x: text([1, textH]) }), status: 200 },
    { name: 'step with weights in a file', path: '/v1/step', headers: FILE_TYPE, body: () => writeSafetensors({ ...file(0.125), x: view([1, H]) }), status: 200 },
    { name: 'step with the same weights', path: '/v1/step', headers: FILE_TYPE, body: () => writeSafetensors({ ...file(0.125), x: view([1, H]) }), status: 200 },
    { name: 'create a session with weights', path: '/v1/sessions', headers: JSON_TYPE, body: () => json({ weights: weightsText('0.875') }), status: 201 },
    {
      name: 'a sequence, time inside, h alone',
      path: '/v1/sequence',
      headers: JSON_TYPE,
      body: () => json({ model: '"sunspots"', layout: '"NTD"', outputs: '["h"]', x: text([16, Math.min(65_000, Math.floor(bytes / 100)), 1]) }),
      status: 200,
    },
    {
      name: 'a sequence in F16, time inside',
      path: '/v1/sequence',
      headers: { ...FILE_TYPE, accept: 'application/json' },
      body: () => f16Sequence(64, Math.min(60_000, Math.floor(bytes / 150))),
      status: 200,
    },
    { name: 'a sequence whose answer is long', path: '/v1/sequence', headers: JSON_TYPE, body: () => json({ model: '"sunspots"', x: text([T, 1, 1]) }), status: 200 },
    { name: 'the same, compressed', path: '/v1/sequence', headers: { ...JSON_TYPE, 'accept-encoding': 'br' }, body: () => json({ model: '"sunspots"', x: text([T, 1, 1]) }), status: 200 },
    { name: 'the same as a file', path: '/v1/sequence', headers: { ...JSON_TYPE, accept: 'application/octet-stream' }, body: () => json({ model: '"sunspots"', x: text([T, 1, 1]) }), status: 200 },
    {
      name: 'an answer of many short rows as a file',
      path: '/v1/sequence',
      headers: { ...JSON_TYPE, accept: 'application/octet-stream' },
      body: () => json({ weights: '{"W_x":[[1]],"W_h":[[1]]}', x: text([Math.min(60_000, Math.floor(answerNumbers / 64)), 64, 1]) }),
      status: 200,
    },
    { name: 'a stream', path: '/v1/sequence', headers: { ...JSON_TYPE, accept: 'application/x-ndjson' }, body: () => json({ model: '"sunspots"', x: text([T, 1, 1]) }), status: 200 },
    { name: 'a traced sequence', path: '/v1/sequence', headers: JSON_TYPE, body: () => json({ model: '"sunspots"', x: text([Math.floor(T / 4), 1, 1]), trace: 'true' }), status: 200 },
    { name: 'a session with a long state', path: '/v1/sessions', headers: JSON_TYPE, body: () => json({ model: '"sunspots"', keep: '64', h: text([2_048, 32]) }), status: 201 },
    {
      name: 'a sequence of a session with a key',
      path: '/v1/sequence',
      headers: { ...JSON_TYPE, 'x-session-id': state.session, 'idempotency-key': `k${attempt}` },
      body: () => json({ x: text([T, 1, 1]) }),
      status: 200,
    },
    {
      name: 'the first of these again',
      path: '/v1/sequence',
      headers: { ...JSON_TYPE, 'x-session-id': state.session, 'idempotency-key': 'k0' },
      body: () => json({ x: text([T, 1, 1]) }),
      status: 200,
    },
    { name: 'put a long state', method: 'PUT', path: `/v1/sessions/${state.large}/state`, headers: JSON_TYPE, body: () => json({ h: text([2_048, 32]) }), status: 200 },
    { name: 'fork a long state', path: `/v1/sessions/${state.large}/fork`, headers: JSON_TYPE, body: () => Buffer.from('{}'), status: 201 },
    { name: 'read a long state', method: 'GET', path: `/v1/sessions/${state.large}`, status: 200 },
    { name: 'list sessions', method: 'GET', path: '/v1/sessions?limit=1000', status: 200 },
    { name: 'list models', method: 'GET', path: '/v1/models?limit=1000', status: 200 },
    ...heavyInferences(bytes),
    { name: 'openapi.json', method: 'GET', path: '/openapi.json', status: 200 },
    { name: 'problems', method: 'GET', path: '/problems', status: 200 },
  ];
  const posts: [string, string, 'POST' | 'PUT'][] = [
    ['step', '/v1/step', 'POST'],
    ['sequence', '/v1/sequence', 'POST'],
    ['models', '/v1/models', 'POST'],
    ['sessions', '/v1/sessions', 'POST'],
    ['a name', '/v1/models/name', 'PUT'],
    ['state', `/v1/sessions/${state.session}/state`, 'PUT'],
    ['rewind', `/v1/sessions/${state.session}/rewind`, 'POST'],
    ['fork', `/v1/sessions/${state.session}/fork`, 'POST'],
  ];
  for (const [route, path, method] of posts) {
    for (const { name, make } of WORST_JSON.filter((worst) => (which === 'every' ? ILLEGAL : ILLEGAL.slice(0, 2)).includes(worst.name))) {
      calls.push({ name: `${route}: ${name}`, method, path, headers: JSON_TYPE, body: () => make(bytes), status: 'refused' });
    }
  }
  for (const path of ['/v1/models', '/v1/sequence']) {
    for (const { name, make } of which === 'every' ? WORST_FILES : WORST_FILES.slice(0, 2)) {
      calls.push({ name: `${path}: ${name}`, path, headers: FILE_TYPE, body: () => make(bytes), status: 'refused' });
    }
  }
  return which === 'unlike' ? calls.filter(({ name }) => !LIKE_ANOTHER.has(name)) : calls;
}

/** Those that a body of any route can be. */
const ILLEGAL = [
  'numbers of one digit',
  'many keys',
  'numbers between two float32',
  'arrays in arrays',
  'one key again and again',
  'a ragged row, the last',
];

function f16File(names: readonly string[], H: number, attempt: number): Buffer {
  return f16(names.map((name) => [name, [H, H]]), {}, attempt);
}

function f16Sequence(N: number, T: number): Buffer {
  return f16([['x', [N, T, 1]]], { model: 'sunspots', layout: 'NTD', outputs: 'h' });
}

/** Of (1 + attempt / 1024) / 1024 everywhere. */
function f16(tensors: readonly (readonly [string, readonly number[]])[], metadata = {}, attempt = 0): Buffer {
  let end = 0;
  const entries = tensors.map(([name, shape]) => {
    const begin = end;
    end += 2 * shape.reduce((a, b) => a * b, 1);
    return [name, { dtype: 'F16', shape, data_offsets: [begin, end] }];
  });
  const header = Buffer.from(JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(entries) }));
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([size, header, Buffer.alloc(end, Buffer.from([attempt, 0x14]))]);
}

/** An embedding and an lstm, each of about half as many bytes as a body may have. */
function layersText(bytes: number, attempt: number): string {
  const numberBytes = 4;
  const D = 64;
  const V = Math.floor(bytes / 2 / numberBytes / D);
  const H = Math.floor(0.85 * Math.sqrt(bytes / 2 / numberBytes / 4));
  const matrix = (rows: number, columns: number) => {
    const row = `[${Array.from({ length: columns }, () => '0.1').join()}]`;
    return `[${Array.from({ length: rows }, () => row).join()}]`;
  };
  const b = `[${Array.from({ length: 4 * H }, () => `0.${attempt + 1}`).join()}]`;
  return `[{"type":"embedding","E":${matrix(V, D)}},{"type":"lstm","W_x":${matrix(D, 4 * H)},"W_h":${matrix(H, 4 * H)},"b":${b}}]`;
}
