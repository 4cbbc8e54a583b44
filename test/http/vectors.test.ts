// Torch's results, over HTTP: nn.RNN in float64 over the same float32 values.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { buildApp } from '../helpers/app.ts';

const folder = join(import.meta.dirname, '../fixtures/vectors');
const vectors = readdirSync(folder).map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')));
const app = await buildApp();

const maxAbsError = (actual: unknown, expected: unknown): number => {
  const a = [actual].flat(4) as number[];
  const e = [expected].flat(4) as number[];
  expect(a).toHaveLength(e.length);
  // The decimal in the answer stands for a float32, and that is what is compared.
  return a.reduce((worst, value, i) => Math.max(worst, Math.abs(Math.fround(value) - e[i]!)), 0);
};

describe('torch vectors', () => {
  test.each(vectors)('$name through /v1/sequence has at most the error of torch in float32', async (vector) => {
    const { weights, x, h, lengths, expected, torch_float32_max_abs_error: torchError } = vector;
    const { status, body } = await app.post('/v1/sequence', { weights, x, h, lengths });
    expect(status).toBe(200);
    const error = Math.max(maxAbsError(body.hs, expected.hs), maxAbsError(body.h, expected.h));
    expect(error).toBeLessThanOrEqual(torchError);
    console.log(`${vector.name}: ${(error / torchError).toFixed(2)} × torch's float32 error`);
  });

  test.each(vectors.filter(({ lengths }) => !lengths))(
    '$name through /v1/step, step by step, has at most the error of torch in float32',
    async (vector) => {
      const { weights, x, expected, torch_float32_max_abs_error: torchError } = vector;
      let { h } = vector;
      for (const [t, x_t] of x.entries()) {
        const { status, body } = await app.post('/v1/step', { weights, x: x_t, h });
        expect(status).toBe(200);
        expect(maxAbsError(body.h, expected.hs[t])).toBeLessThanOrEqual(torchError);
        ({ h } = body);
      }
    },
  );
});

test('all ten vectors are present', () => {
  expect(vectors.length).toBeGreaterThanOrEqual(10);
});
