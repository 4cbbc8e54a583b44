import { describe, expect, test } from 'vitest';
import { tensorFromJson } from '../../src/codec/json/tensor.ts';
import { lifetimeOf } from '../helpers/lifetime.ts';
import { fuzz, jsonCodec } from './fuzz.ts';
import { runs } from '../helpers/long.ts';
import { SEED } from '../helpers/seed.ts';

/** npm run test:fuzz runs a million. */
const BODIES = runs(10_000);

async function read(body: string) {
  const bytes = Buffer.from(body);
  const text = jsonCodec.allocate(bytes.length);
  text.append(bytes);
  return jsonCodec.parse(text, lifetimeOf());
}

/** In ms; long enough on a loaded machine. */
const timeout = 600_000;

test(`${BODIES} random bodies are read and printed as parseJson() and tensorToJson() do`, { timeout }, async () => {
  const { wrong, bodies, accepted, declined, tensors, numbers, printed, bytesLeft } = await fuzz(BODIES, SEED);
  expect(wrong).toEqual([]);
  expect(bodies).toBe(BODIES);
  // The comparison is not empty: bodies were accepted and refused, and tensors were read by the kernel.
  expect(accepted).toBeGreaterThan(BODIES * 0.4);
  expect(accepted).toBeLessThan(BODIES * 0.95);
  expect(declined).toBeGreaterThan(BODIES / 40);
  expect(tensors).toBeGreaterThan(BODIES * 0.4);
  expect(numbers).toBeGreaterThan(BODIES * 2.5);
  expect(printed).toBeGreaterThan(BODIES * 2.5);
  expect(bytesLeft).toBe(0);
});

test('a tensor of a released body is refused, and not read from memory that others use', async () => {
  const body = await read('{"x": [[1, 2], [3, 4]]}');
  const { x } = body.value as { x: number[][] };
  const source = tensorFromJson('x', 'ND', x);
  const target = new Float32Array(4);
  source.copyTo(target);
  expect([...target]).toEqual([1, 2, 3, 4]);
  body.release();
  body.release();
  expect(() => source.copyTo(target)).toThrow(/closed the connection/);
});

describe('a body that ends anywhere', () => {
  test('the body is refused, or read without the bytes behind its end', async () => {
    const whole = '{"x": [[1.25, -3e5], [12345678.5, 0.1234567890123456789]] }';
    for (let end = 0; end < whole.length; end++) {
      await expect(read(whole.slice(0, end))).rejects.toMatchObject({ code: 'malformed_json' });
    }
    (await read(whole)).release();
  });
});
