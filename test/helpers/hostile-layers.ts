// Bodies with layers that must be refused: JSON with a wrong shape, list of layers, token or state, huge ones, and files
// with a wrong tensor or description. Wrong types and unknown fields within layers are those of hostile.ts.
import {
  type HostileRequest,
  JSON_HEADERS,
  type Json,
  LAYERS,
  VALID_LAYERS,
  pathsOf,
  render,
  replaceAt,
  wrongValues,
} from './hostile.ts';
import { type TensorToWrite, writeSafetensors } from './safetensors.ts';
import { fc } from './seed.ts';

const FILE_HEADERS = { 'content-type': 'application/octet-stream' };
const SEQUENCE = VALID_LAYERS['/v1/sequence'] as unknown as Json;

const asModel = (layers: unknown): HostileRequest => ({
  url: '/v1/models',
  body: Buffer.from(JSON.stringify({ layers })),
  headers: JSON_HEADERS,
});
const asWeights = (layers: unknown): HostileRequest => ({
  url: '/v1/sequence',
  body: Buffer.from(JSON.stringify({ ...VALID_LAYERS['/v1/sequence'], weights: { layers } })),
  headers: JSON_HEADERS,
});
const asEither = fc.constantFrom(asModel, asWeights);

const valueAt = (path: readonly (string | number)[]): unknown => path.reduce((value: any, key) => value[key], LAYERS);

/** All rows of all tensors, and all tensors, but E, which may have any number of rows. */
const ARRAYS = pathsOf(LAYERS).filter((path) => path.length > 1 && path.join() !== '0,E' && Array.isArray(valueAt(path)));

/** A row or an element too few or too many. */
const wrongShape = fc.tuple(asEither, fc.constantFrom(...ARRAYS), fc.boolean()).map(([as, path, isLonger]) => {
  const array = valueAt(path) as Json[];
  return as(replaceAt(LAYERS, path, isLonger ? [...array, array.at(-1)!] : array.slice(0, -1)));
});

const change = (k: number, fields: object) => LAYERS.with(k, { ...LAYERS[k]!, ...fields });
const swap = (k: number) => LAYERS.with(k, LAYERS[k + 1]!).with(k + 1, LAYERS[k]!);
const { backward, ...ONE_DIRECTION } = LAYERS[2]!;

/** Each layer by itself is valid. */
const wrongList = fc
  .tuple(
    asEither,
    fc.constantFrom<unknown>(
      [],
      ...[0, 1, 2, 3, 4].map(swap),
      // Of the others the model is another, and valid.
      ...[1, 2, 4].map((k) => LAYERS.toSpliced(k, 1)),
      [LAYERS[5]],
      [LAYERS[3], LAYERS[3]],
      [...LAYERS, LAYERS[0]],
      LAYERS.with(2, { ...ONE_DIRECTION, direction: 'bidirectional' } as never),
      change(2, { direction: 'forward' }),
      change(1, { backward }),
      change(1, { type: 'gru' }),
      change(1, { type: 'rnn' }),
      change(2, { type: 'lstm' }),
      change(4, { type: 'dense' }),
      change(4, { activation: 'sigmoid' }),
      change(2, { reset: 'never' }),
      [...LAYERS, ...Array.from({ length: 27 }, () => ({ type: 'affine', scale: [1, 1, 1], offset: [0, 0, 0] }))],
      Array.from({ length: 33 }, () => LAYERS[2]),
    ),
  )
  .map(([as, layers]) => as(layers));

const asSequence = (fields: object): HostileRequest => ({
  url: '/v1/sequence',
  body: Buffer.from(render({ ...(SEQUENCE as object), ...fields })),
  headers: JSON_HEADERS,
});

/** Row numbers that the embedding does not have, of which there are 2. */
const wrongToken = fc
  .tuple(
    fc.constantFrom([0, 0], [0, 1], [1, 0], [1, 1]),
    fc.oneof(
      fc.constantFrom<Json>(2, -1, 0.5, 1e9, 4294967296, 1e-45, '0', null, true, [0], [], {}, '@1e39', '@NaN', '@400 digits'),
      fc.integer({ min: 2, max: 2 ** 31 }),
      fc.double({ min: 0.001, max: 0.999, noNaN: true }),
    ),
  )
  .map(([path, token]) => asSequence({ x: replaceAt([[0, 1], [1, 0]], path, token) }));

const { h, c } = VALID_LAYERS['/v1/sequence'];

const wrongState = fc
  .constantFrom<object>(
    { h: h.slice(0, 3) },
    { h: [...h, h[0]] },
    { h: h.with(1, [[0, 1], [1, 0]] as never) },
    { h: h.with(1, [[0]] as never) },
    { h: h.with(2, null as never) },
    { h: [[0], [1]] },
    { h: [] },
    { h: [null, null, null, null] },
    { c: c.slice(0, 3) },
    { c: [...c, null] },
    { c: c.with(1, [[0], [1]] as never) },
    { c: c.with(0, [[0, 1], [1, 0]] as never) },
    { c: [[0], [1]] },
    { lengths: [1] },
    { lengths: [3, 0] },
    { outputs: ['z'] },
    { x: [0, 1] },
    { x: [[[0], [1]], [[1], [0]]] },
    { x: [] },
  )
  .map(asSequence);

/** Texts whose size or depth is out of proportion. */
const huge = fc
  .constantFrom<() => string>(
    () => `{"layers":[${'null,'.repeat(50_000)}null]}`,
    () => `{"layers":[${'{"type":"affine"},'.repeat(20_000)}{}]}`,
    () => `{"layers":${'['.repeat(50_000)}`,
    () => `{"layers":${'['.repeat(50_000)}${']'.repeat(50_000)}}`,
    () => `{"layers":${'{"layers":'.repeat(20_000)}[]${'}'.repeat(20_000)}}`,
    () => `{"layers":[{"type":"${'l'.repeat(300_000)}"}]}`,
    () => `{"layers":[{"type":"lstm",${Array.from({ length: 20_000 }, (_, k) => `"f${k}":1`).join()}}]}`,
    () => `{"layers":[{"type":"embedding","E":[${'[1],'.repeat(100_000)}[1,2]]}]}`,
    () => `{"layers":[{"type":"embedding","E":[${'[1],'.repeat(70_000)}[1]]},{"type":"rnn","W_x":[[1]],"W_h":[[1]]}]}`,
    () => `{"layers":[{"type":"dense","W":[[${'1,'.repeat(5_000)}1]]}]}`,
    () => `{"layers":[{"type":"rnn","W_x":[[1]],"W_h":[[1]]},{"type":"dense","W":[[${'1,'.repeat(5_000)}1]]}]}`,
  )
  .map((text) => ({ url: '/v1/models', body: Buffer.from(text()), headers: JSON_HEADERS }));

const tensor = (...shape: number[]): TensorToWrite => {
  const count = shape.reduce((product, size) => product * size);
  return { shape, data: new Float32Array(count).fill(0.5) };
};
const TENSORS: Record<string, TensorToWrite> = {
  'embedding.weight': tensor(3, 2),
  'lstm.weight_ih_l0': tensor(4, 2),
  'lstm.weight_hh_l0': tensor(4, 1),
  'gru.weight_ih_l0': tensor(3, 1),
  'gru.weight_hh_l0': tensor(3, 1),
  'gru.bias_ih_l0': tensor(3),
  'gru.bias_hh_l0': tensor(3),
  'head.weight': tensor(2, 1),
  'head.bias': tensor(2),
};
const DESCRIPTION: Json = [
  { type: 'embedding', name: 'embedding' },
  { type: 'lstm', name: 'lstm' },
  { type: 'gru', name: 'gru', reset: 'after' },
  { type: 'dense', name: 'head', activation: 'softmax' },
];

const asFile = (bytes: Uint8Array, description?: string): HostileRequest => ({
  url: description === undefined ? '/v1/models' : `/v1/models?layers=${encodeURIComponent(description.toWellFormed())}`,
  body: Buffer.from(bytes),
  headers: FILE_HEADERS,
});
const described = (tensors: Record<string, TensorToWrite>, description: string) =>
  asFile(writeSafetensors(tensors, { 'carryover.layers': description }));

/** A value that is wrong in the description, in the query or in the metadata. Depth is bounded by the address. */
const wrongDescription = fc
  .tuple(
    fc.constantFrom(...pathsOf(DESCRIPTION).filter((path) => path.length > 0)),
    wrongValues.filter((value) => typeof value !== 'string' || !value.startsWith('@deep')),
    fc.boolean(),
  )
  .map(([path, wrong, isInQuery]) => {
    const text = render(replaceAt(DESCRIPTION, path, wrong));
    return isInQuery ? asFile(writeSafetensors(TENSORS), text) : described(TENSORS, text);
  });

/** A biasless GRU is another valid model, so one of two biases is taken. */
const wrongTensors = fc
  .tuple(
    fc.constantFrom(...Object.keys(TENSORS).filter((name) => name !== 'head.bias')),
    fc.constantFrom('missing', 'renamed', 'twice', 'longer', 'vector', 'cube', 'beside', 'not finite', 'plain'),
  )
  .map(([name, how]) => {
    const { [name]: chosen, ...rest } = TENSORS;
    const { shape, data } = chosen!;
    const text = JSON.stringify(DESCRIPTION);
    const values: Record<string, Record<string, TensorToWrite>> = {
      missing: rest,
      renamed: { ...rest, [`x.${name}`]: chosen! },
      twice: { ...TENSORS, [`module.${name}`]: chosen! },
      longer: { ...rest, [name]: tensor(...shape.with(-1, shape.at(-1)! + 1)) },
      vector: { ...rest, [name]: tensor(data.length + 1) },
      cube: { ...rest, [name]: tensor(...shape, 1, 1) },
      beside: { ...TENSORS, [`${name}_g`]: chosen! },
      'not finite': { ...rest, [name]: { shape, data: new Float32Array(data.length).fill(NaN) } },
    };
    // Names alone do not tell the order of the lstm and the gru.
    return how === 'plain' ? asFile(writeSafetensors(TENSORS)) : described(values[how]!, text);
  });

/** The file's header and its size begin it; bytes that are cut off or changed there break it. */
const wrongBytes = fc
  .tuple(fc.double({ min: 0, max: 0.999, noNaN: true }), fc.boolean(), fc.integer({ min: 0, max: 8 }))
  .map(([part, isCut, at]) => {
    const bytes = writeSafetensors(TENSORS, { 'carryover.layers': JSON.stringify(DESCRIPTION) });
    if (isCut) return asFile(bytes.subarray(0, Math.floor(part * bytes.length)));
    bytes[at]! ^= 0xa5;
    return asFile(bytes);
  });

export const hostileLayerRequests: fc.Arbitrary<HostileRequest> = fc.oneof(
  { arbitrary: wrongShape, weight: 8 },
  { arbitrary: wrongList, weight: 6 },
  { arbitrary: wrongToken, weight: 6 },
  { arbitrary: wrongState, weight: 6 },
  { arbitrary: huge, weight: 1 },
  { arbitrary: wrongDescription, weight: 6 },
  { arbitrary: wrongTensors, weight: 6 },
  { arbitrary: wrongBytes, weight: 3 },
);

/** What wrongDescription, wrongTensors and wrongBytes begin with. */
export const VALID_FILE_REQUEST = described(TENSORS, JSON.stringify(DESCRIPTION));
