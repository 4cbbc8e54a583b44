// Bodies that must be refused: a valid body with one thing wrong, a text that is not JSON, or bytes
// that are not text. Grammar-based, so that most of them get past the first check and reach the next.
import { fc } from './seed.ts';

export interface HostileRequest {
  readonly url: string;
  readonly body: Buffer;
  readonly headers: Record<string, string>;
}

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export const JSON_HEADERS = { 'content-type': 'application/json' };

/** A valid body, from which everything starts. */
const VALID = {
  '/v1/step': {
    weights: { W_x: [[0.5, 1]], W_h: [[1, 2], [3, 4]], b: [0.1, 0.2] },
    x: [[1], [2], [3]],
    h: [[0, 1], [1, 0], [0, 0]],
    trace: true,
  },
  '/v1/sequence': {
    weights: { W_x: [[0.5, 1]], W_h: [[1, 2], [3, 4]], b: [[0.1, 0.2]] },
    x: [[[1], [2]], [[3], [4]]],
    h: [[0, 1], [1, 0]],
    lengths: [1, 2],
    outputs: ['hs'],
    layout: 'TND',
  },
} as const;

/** A valid model with layers, and a sequence with it. */
export const LAYERS = [
  { type: 'embedding', E: [[1, 0], [0, 1]] },
  { type: 'lstm', W_x: [[1, 2, 3, 4], [1, 2, 3, 4]], W_h: [[1, 2, 3, 4]], b: [1, 2, 3, 4] },
  {
    type: 'gru',
    direction: 'bidirectional',
    reset: 'before',
    W_x: [[1, 2, 3]],
    W_h: [[1, 2, 3]],
    b_h: [1, 2, 3],
    backward: { W_x: [[1, 2, 3]], W_h: [[1, 2, 3]] },
  },
  { type: 'affine', scale: [1, 2], offset: [3, 4] },
  { type: 'rnn', activation: 'relu', W_x: [[1], [2]], W_h: [[0.5]] },
  { type: 'dense', activation: 'softmax', W: [[1, 2, 3]], b: [1, 2, 3] },
];
export const VALID_LAYERS = {
  '/v1/models': { layers: LAYERS },
  '/v1/sequence': {
    weights: { layers: LAYERS },
    x: [[0, 1], [1, 0]],
    h: [[[0], [1]], [[0], [1]], [[0], [1]], [[0], [1]]],
    c: [[[0], [1]], null, null, null],
    outputs: ['hs', 'c', 'ys'],
    trace: true,
  },
} as const;

type Url = keyof typeof VALID;
const urls = fc.constantFrom<Url>('/v1/step', '/v1/sequence');

/** Placeholders that become text JSON.stringify would not write: see render(). */
const RAW: Record<string, string> = {
  '@1e999': '1e999',
  '@-1e999': '-1e999',
  '@1e39': '1e39',
  '@400 digits': `1${'0'.repeat(399)}`,
  '@NaN': 'NaN',
  '@undefined': 'undefined',
  '@deep array': `${'['.repeat(100_000)}${']'.repeat(100_000)}`,
  '@deep object': `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`,
};

/** Values that are wrong wherever they stand. */
export const wrongValues: fc.Arbitrary<Json> = fc.oneof(
  fc.constantFrom<Json>(null, '1', '', 'NaN', {}, [], [[]], [null], { length: 1 }, [[[[1]]]]),
  fc.constantFrom<Json>(...Object.keys(RAW)),
  fc.string({ maxLength: 30 }).map((text) => `s${text}`),
  fc.dictionary(fc.string({ maxLength: 5 }), fc.integer(), { minKeys: 1, maxKeys: 3 }),
);

const wrongKeys = fc.oneof(
  fc.constantFrom('__proto__', 'constructor', 'prototype', 'toString', 'X', 'w_x', 'model', '', 'a/b~c'),
  fc.string({ maxLength: 20 }).map((text) => `u${text}`),
);

/** Every path to a value within a body, e.g. ['weights', 'W_h', 1, 0]. */
export function pathsOf(value: unknown, path: (string | number)[] = []): (string | number)[][] {
  if (typeof value !== 'object' || value === null) return [path];
  const children = Object.entries(value).flatMap(([key, child]) =>
    pathsOf(child, [...path, Array.isArray(value) ? Number(key) : key]),
  );
  return [path, ...children];
}

export function replaceAt(value: Json, path: readonly (string | number)[], wrong: Json): Json {
  const [key, ...rest] = path;
  if (key === undefined) return wrong;
  const copy: any = Array.isArray(value) ? [...value] : { ...(value as object) };
  copy[key] = replaceAt(copy[key], rest, wrong);
  return copy;
}

const replaced = urls.chain((url) =>
  fc.tuple(fc.constantFrom(...pathsOf(VALID[url])), wrongValues).map(([path, wrong]) => ({
    url,
    text: render(replaceAt(VALID[url] as unknown as Json, path, wrong)),
  })),
);

/** Any value of it but null, which other layers may have in c. */
const replacedInLayers = fc.constantFrom<keyof typeof VALID_LAYERS>('/v1/models', '/v1/sequence').chain((url) => {
  const valid = VALID_LAYERS[url] as unknown as Json;
  const valueAt = (path: readonly (string | number)[]) => path.reduce((value: any, key) => value[key], valid);
  const paths = pathsOf(valid).filter((path) => valueAt(path) !== null);
  return fc
    .tuple(fc.constantFrom(...paths), wrongValues)
    .map(([path, wrong]) => ({ url, text: render(replaceAt(valid, path, wrong)) }));
});

const withUnknownKeyInLayers = fc.tuple(fc.nat({ max: LAYERS.length - 1 }), wrongKeys, wrongValues).map(([k, key, wrong]) => {
  const layers = LAYERS.map((layer) => JSON.stringify(layer));
  layers[k] = layers[k]!.replace('{', () => `{${JSON.stringify(key)}:${render(wrong)},`);
  return { url: '/v1/models' as const, text: `{"layers":[${layers.join()}]}` };
});

const withUnknownKey = fc
  .tuple(urls, fc.boolean(), wrongKeys, wrongValues)
  .map(([url, inWeights, key, wrong]) => {
    const valid = VALID[url];
    const extra = `${JSON.stringify(key)}:${render(wrong)}`;
    const open = (text: string) => text.replace('{', `{${extra},`);
    const weights = JSON.stringify(valid.weights);
    const text = JSON.stringify(valid);
    return { url, text: inWeights ? text.replace(weights, () => open(weights)) : open(text) };
  });

const withoutKey = urls.chain((url) =>
  fc.constantFrom('weights', 'x', 'W_x', 'W_h').map((key) => ({
    url,
    text: JSON.stringify(VALID[url]).replace(`"${key}"`, `"no_${key}"`),
  })),
);

const withDuplicateKey = urls.chain((url) =>
  fc.constantFrom('weights', 'x', 'h').map((key) => {
    const value = JSON.stringify((VALID[url] as any)[key]);
    return { url, text: JSON.stringify(VALID[url]).replace('{', `{"${key}":${value},`) };
  }),
);

const ragged = urls.chain((url) =>
  fc
    .constantFrom(...pathsOf(VALID[url]).filter((path) => typeof path.at(-1) === 'number'))
    .map((path) => {
      const text = JSON.stringify(replaceAt(VALID[url] as unknown as Json, path, '@removed'));
      return { url, text: text.replace(/,"@removed"|"@removed",?/, '') };
    }),
);

const truncated = fc.tuple(urls, fc.double({ min: 0, max: 0.999, noNaN: true })).map(([url, part]) => {
  const text = JSON.stringify(VALID[url]);
  return { url, text: text.slice(0, Math.floor(part * text.length)) };
});

const otherJson = fc
  .tuple(urls, fc.json())
  .map(([url, text]) => ({ url, text }));

const asJson = fc
  .oneof(
    { arbitrary: replaced, weight: 8 },
    { arbitrary: replacedInLayers, weight: 8 },
    withUnknownKeyInLayers,
    { arbitrary: withUnknownKey, weight: 3 },
    { arbitrary: ragged, weight: 2 },
    withoutKey,
    withDuplicateKey,
    truncated,
    otherJson,
  )
  .map(({ url, text }) => ({ url, body: Buffer.from(text), headers: JSON_HEADERS }));

const notUtf8 = fc
  .tuple(urls, fc.constantFrom([0xc3, 0x28], [0xff], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80]))
  .map(([url, bytes]) => {
    const text = JSON.stringify(VALID[url]);
    const body = Buffer.concat([
      Buffer.from(text.slice(0, -1)),
      Buffer.from(',"'),
      Buffer.from(bytes),
      Buffer.from('":1}'),
    ]);
    return { url, body, headers: JSON_HEADERS };
  });

const noise = fc
  .tuple(urls, fc.uint8Array({ maxLength: 200 }))
  .map(([url, bytes]) => ({ url, body: Buffer.from(bytes), headers: JSON_HEADERS }));

const wrongType = fc
  .tuple(
    urls,
    fc.constantFrom(
      { 'content-type': 'text/plain' },
      { 'content-type': 'application/x-www-form-urlencoded' },
      { 'content-type': 'multipart/form-data; boundary=x' },
      { 'content-type': 'application/json-patch+json' },
      { 'content-type': 'text/plain; application/json' },
      { 'content-type': '' },
      { ...JSON_HEADERS, 'content-encoding': 'gzip' },
      { ...JSON_HEADERS, 'content-encoding': 'br' },
      {},
    ),
  )
  .map(([url, headers]) => ({
    url,
    body: Buffer.from(JSON.stringify(VALID[url])),
    headers: headers as Record<string, string>,
  }));

export const hostileRequests: fc.Arbitrary<HostileRequest> = fc.oneof(
  { arbitrary: asJson, weight: 20 },
  notUtf8,
  noise,
  wrongType,
);

/** The cases that each deserve a name: they are sent whatever the random ones are. */
export const HOSTILE_CORPUS: readonly HostileRequest[] = [
  'null',
  '"x"',
  'true',
  '[]',
  '{}',
  '',
  ' ',
  '0',
  '-',
  '[1',
  '{"weights":',
  '\u0000',
  '\ufeff{}',
  '{"__proto__":{"x":1}}',
  '{"constructor":{"prototype":{"x":1}}}',
  `{"weights":{"W_x":[[1]],"W_h":[[1]]},"x":[[1]],"__proto__":{"h":[[1]]}}`,
  ...Object.values(RAW).map((raw) => `{"weights":{"W_x":[[1]],"W_h":[[1]]},"x":[[${raw}]]}`),
  ...Object.values(RAW).map((raw) => `{"weights":{"W_x":${raw},"W_h":[[1]]},"x":[[1]]}`),
  ...Object.values(RAW),
  '['.repeat(100_000),
  '{"a":'.repeat(100_000),
  `"${'a'.repeat(1_000_000)}"`,
  `{"${'a'.repeat(1_000_000)}":1}`,
  `{"weights":{"W_x":[[1]],"W_h":[[1]]},"x":[${'[1],'.repeat(100_000)}[1,2]]}`,
].map((text) => ({ url: '/v1/step', body: Buffer.from(text), headers: JSON_HEADERS }));

/** What replacedInLayers and withUnknownKeyInLayers begin with. */
export const VALID_LAYER_REQUESTS: readonly HostileRequest[] = Object.entries(VALID_LAYERS).map(([url, body]) => ({
  url: url as keyof typeof VALID_LAYERS,
  body: Buffer.from(JSON.stringify(body)),
  headers: JSON_HEADERS,
}));

export const VALID_REQUEST: HostileRequest = {
  url: '/v1/step',
  body: Buffer.from(JSON.stringify(VALID['/v1/step'])),
  headers: JSON_HEADERS,
};

export function render(value: Json): string {
  return JSON.stringify(value).replace(/"(@[^"]*)"/g, (quoted, name) => RAW[name] ?? quoted);
}
