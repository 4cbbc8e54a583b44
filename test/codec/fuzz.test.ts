import { describe, expect, test } from 'vitest';
import { tensorFromJson } from '../../src/codec/json/tensor.ts';
import { lifetimeOf } from '../helpers/lifetime.ts';
import { fuzz, jsonCodec } from './fuzz.ts';
import { SEED } from '../helpers/seed.ts';

/** npm run test:fuzz takes a million. */
const BODIES = 10_000;

async function read(body: string) {
  const bytes = Buffer.from(body);
  const text = jsonCodec.allocate(bytes.length);
  text.append(bytes);
  return jsonCodec.parse(text, lifetimeOf());
}

/** What else runs on the machine must not decide. */
const timeout = 600_000;

test(`${BODIES} made-up bodies are read and printed as the plain codec does, seed ${SEED}`, { timeout }, async () => {
  const { wrong, bodies, accepted, declined, tensors, numbers, printed, bytesLeft } = await fuzz(BODIES, SEED);
  expect(wrong).toEqual([]);
  expect(bodies).toBe(BODIES);
  // The comparison means something: bodies were refused and accepted, and took the fast way.
  expect(accepted).toBeGreaterThan(BODIES * 0.4);
  expect(accepted).toBeLessThan(BODIES * 0.95);
  expect(declined).toBeGreaterThan(BODIES / 40);
  expect(tensors).toBeGreaterThan(BODIES * 0.4);
  expect(numbers).toBeGreaterThan(BODIES * 2.5);
  expect(printed).toBeGreaterThan(BODIES * 2.5);
  expect(bytesLeft).toBe(0);
});

test('a tensor of a body that was released is refused, not read from memory of others', async () => {
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
  test('is refused, or read without what is behind it', async () => {
    const whole = '{"x": [[1.25, -3e5], [12345678.5, 0.1234567890123456789]] }';
    for (let end = 0; end < whole.length; end++) {
      await expect(read(whole.slice(0, end))).rejects.toMatchObject({ code: 'malformed_json' });
    }
    (await read(whole)).release();
  });
});
