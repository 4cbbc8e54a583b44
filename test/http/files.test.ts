// Computations as safetensors files: the same bits and the same strictness as in JSON.
import { describe, expect, test } from 'vitest';
import { readSafetensors } from '../../src/codec/safetensors/read.ts';
import { buildApp } from '../helpers/app.ts';
import { runs } from '../helpers/long.ts';
import { bitsOf, nested, recurrences, weightsBody } from '../helpers/recurrence.ts';
import { writeSafetensors } from '../helpers/safetensors.ts';
import { fc } from '../helpers/seed.ts';

const app = await buildApp();
const FILE = 'application/vnd.carryover.safetensors';
const f32 = (shape: number[], ...data: number[]) => ({ shape, data: Float32Array.from(data) });

function post(url: string, payload: Uint8Array | object, headers: Record<string, string> = {}) {
  const isFile = payload instanceof Uint8Array;
  return app.http.inject({
    method: 'POST',
    url,
    headers: { 'content-type': isFile ? FILE : 'application/json', ...headers },
    payload: isFile ? Buffer.from(payload) : JSON.stringify(payload),
  });
}

/** The tensors of an answer as nested arrays would have them: shape and bits. */
function contentOf(payload: Buffer) {
  return Object.fromEntries(
    [...readSafetensors(payload)].map(([name, { shape, data }]) => [
      name,
      { shape, bits: Buffer.from(data.buffer, data.byteOffset, data.byteLength) },
    ]),
  );
}

function shapeOf(value: any): number[] {
  return Array.isArray(value) ? [value.length, ...shapeOf(value[0])] : [];
}

describe('a computation as a file', () => {
  test('a file has the bits of the same computation in JSON, whatever is asked for', async () => {
    const cases = fc.tuple(recurrences(40, 4), fc.boolean(), fc.boolean(), fc.boolean());
    await fc.assert(
      fc.asyncProperty(cases, async ([input, batchFirst, onlyLast, trace]) => {
        const { T, N, weights, x, h } = input;
        const { D, H, W_x, W_h, b } = weights;
        const layout = batchFirst ? 'NTD' : 'TND';
        const shape = batchFirst ? [N, T, D] : [T, N, D];
        const outputs = onlyLast ? ['h'] : ['hs', 'h'];
        const lengths = Array.from({ length: N }, (_, n) => (n * 3) % (T + 1));
        const json = await post('/v1/sequence', {
          weights: weightsBody(weights),
          x: nested(x, shape),
          h: nested(h, [N, H]),
          lengths,
          layout,
          outputs,
          trace,
        });
        const file = await post(
          '/v1/sequence',
          writeSafetensors(
            {
              x: { shape, data: x },
              h: { shape: [N, H], data: h },
              W_x: { shape: [D, H], data: W_x },
              W_h: { shape: [H, H], data: W_h },
              b: { shape: [1, H], data: Float64Array.from(b) },
            },
            {
              layout,
              outputs: outputs.join(','),
              trace: String(trace),
              lengths: lengths.join(','),
            },
          ),
        );
        expect(file.statusCode, file.body.slice(0, 300)).toBe(200);
        expect(file.headers['content-type']).toBe(FILE);
        const content = contentOf(file.rawPayload);
        const { trace: products = {}, ...tensors } = json.json();
        const expected = {
          ...tensors,
          ...Object.fromEntries(
            Object.entries(products).map(([name, value]) => [`trace/${name}`, value]),
          ),
        };
        expect(Object.keys(content)).toEqual(Object.keys(expected));
        for (const [name, value] of Object.entries(expected)) {
          expect(content[name]!.shape).toEqual(shapeOf(value));
          expect(content[name]!.bits).toEqual(bitsOf(value));
        }
      }),
      { numRuns: runs(60) },
    );
  });

  test('a file may name a model, and is answered in the type that Accept prefers', async () => {
    const body = writeSafetensors({ x: f32([1, 1], 0.58) }, { model: 'sunspots' });
    const file = await post('/v1/step', body);
    const json = await post('/v1/step', body, { accept: 'application/json' });
    const plain = await post('/v1/step', { model: 'sunspots', x: [[0.58]] });
    expect(json.json()).toEqual(plain.json());
    const { h, y } = contentOf(file.rawPayload);
    expect(h!.bits).toEqual(bitsOf(plain.json().h));
    expect(y!.bits).toEqual(bitsOf(plain.json().y));
    const mixed = await post('/v1/step', { model: 'sunspots', x: [[0.58]] }, { accept: FILE });
    expect(mixed.rawPayload).toEqual(file.rawPayload);
    const preferred = await post('/v1/step', body, { accept: `${FILE};q=0.5, application/json` });
    expect(preferred.headers['content-type']).toMatch(/^application\/json/);
    const any = await post('/v1/step', body, { accept: '*/*' });
    expect(any.headers['content-type']).toBe(FILE);
  });

  test('a file may have the format of the library that wrote it in its metadata', async () => {
    const plain = writeSafetensors({ x: f32([1, 1], 0.58) }, { model: 'sunspots' });
    const body = writeSafetensors({ x: f32([1, 1], 0.58) }, { model: 'sunspots', format: 'pt' });
    const response = await post('/v1/step', body);
    expect(response.statusCode).toBe(200);
    expect(response.rawPayload).toEqual((await post('/v1/step', plain)).rawPayload);
  });

  test('a file is answered 406 when Accept allows none of the types offered', async () => {
    const response = await post('/v1/step', { model: 'sunspots', x: [[1]] }, { accept: 'text/html' });
    expect(response.statusCode).toBe(406);
    expect(response.json().code).toBe('not_acceptable');
    expect(response.json().detail).toContain('application/json');
  });
});

const x = f32([1, 2], 1, 2);
const W = { W_x: f32([2, 1], 1, 2), W_h: f32([1, 1], 1) };
const REFUSED: [string, Parameters<typeof writeSafetensors>, number, string, RegExp][] = [
  ['an unknown tensor', [{ x, ...W, q: x }], 400, 'invalid_request', /"q" is not a known tensor/],
  ['an unknown field', [{ x, ...W }, { layout: 'TND' }], 400, 'invalid_request', /metadata field/],
  ['a flag that is none', [{ x, ...W }, { trace: '1' }], 400, 'invalid_request', /false, true/],
  ['no x', [W], 400, 'invalid_request', /x is required/],
  ['no W_h', [{ x, W_x: W.W_x }], 400, 'invalid_request', /W_h is required/],
  ['neither weights nor model', [{ x }], 400, 'invalid_request', /`session`, got none/],
  ['both', [{ x, ...W }, { model: 'sunspots' }], 400, 'invalid_request', /got both/],
  ['another rank', [{ ...W, x: f32([2], 1, 2) }], 422, 'shape_mismatch', /\(2,\), expected \(N, D\)/],
  ['an empty axis', [{ ...W, x: f32([0, 2]) }], 422, 'shape_mismatch', /size 0/],
  ['another D', [{ ...W, x: f32([1, 3], 1, 2, 3) }], 422, 'shape_mismatch', /expected \(1, 2\)/],
  ['NaN', [{ ...W, x: f32([1, 2], 1, NaN) }], 422, 'out_of_range', /\/x\/0\/1 is NaN/],
  ['infinity', [{ ...W, x: f32([1, 2], -Infinity, 1) }], 422, 'out_of_range', /\/x\/0\/0 is beyond/],
  [
    'a float64 beyond float32',
    [{ ...W, x: { shape: [1, 2], data: Float64Array.of(1, 1e39) } }],
    422,
    'out_of_range',
    /\/x\/0\/1 is beyond/,
  ],
];

describe('a file that is refused, with a problem in JSON', () => {
  test.each(REFUSED)('%s', async (_, file, status, code, detail) => {
    const response = await post('/v1/step', writeSafetensors(...file));
    expect(response.json()).toMatchObject({ status, code, detail: expect.stringMatching(detail) });
    expect(response.headers['content-type']).toMatch(/^application\/problem\+json/);
  });

  test('a sequence with bad lengths, layout and outputs is refused', async () => {
    const bodies: Record<string, string>[] = [{ lengths: '1,x' }, { lengths: '-1' }, { layout: 'DNT' }, { outputs: 'h,y' }];
    for (const metadata of bodies) {
      const file = writeSafetensors({ ...W, x: f32([1, 1, 2], 1, 2) }, metadata);
      expect((await post('/v1/sequence', file)).json().code).toBe('invalid_request');
    }
  });

  test('a file that is truncated anywhere, or has any bit flipped, never causes a 5xx', async () => {
    const file = Buffer.from(writeSafetensors({ x, ...W }, { trace: 'true' }));
    for (let length = 0; length < file.length; length++) {
      const response = await post('/v1/step', file.subarray(0, length));
      expect(response.statusCode).toBe(400);
    }
    for (let bit = 0; bit < file.length * 8; bit++) {
      const flipped = Buffer.from(file);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      expect((await post('/v1/step', flipped)).statusCode).toBeLessThan(500);
    }
  });
});
