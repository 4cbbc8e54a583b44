// Results of /v1/step and /v1/sequence, case by case.
import { describe, expect, test } from 'vitest';
import { buildApp } from '../../helpers/app.ts';
import { W, buildSmallApp, row, weights } from './app.ts';

const app = await buildSmallApp();

describe('/v1/step', () => {
  test('a step starts from zeros when there is no h, and adds 0 when there is no bias', async () => {
    const { b: _, ...unbiased } = W;
    const response = await app.post('/v1/step', { weights: unbiased, x: [[1, 2]] });
    const explicit = await app.post('/v1/step', {
      weights: { ...unbiased, b: [[0, 0, 0]] },
      x: [[1, 2]],
      h: [[0, 0, 0]],
    });
    expect(response.status).toBe(200);
    expect(response.body).toEqual(explicit.body);
    expect(Object.keys(response.body)).toEqual(['h']);
    expect(response.body.h).toEqual([row(3, Number(String(Math.fround(Math.tanh(1.5)))))].map((r) =>
      r.map(() => response.body.h[0][0]),
    ));
    expect(response.body.h[0][0]).toBeCloseTo(Math.tanh(1.5), 6);
  });

  test('a bias b of (H) and one of (1, H) are broadcast alike', async () => {
    const flat = await app.post('/v1/step', { weights: { ...W, b: [1, 2, 3] }, x: [[1, 2]] });
    const nested = await app.post('/v1/step', { weights: { ...W, b: [[1, 2, 3]] }, x: [[1, 2]] });
    expect(flat.body).toEqual(nested.body);
  });

  test('the answer has the products when a trace is asked for', async () => {
    const { body } = await app.post('/v1/step', {
      weights: { W_x: [[2]], W_h: [[3]], b: [0.5] },
      x: [[0.25]],
      h: [[-0.5]],
      trace: true,
    });
    expect(body.trace).toEqual({ h_W_h: [[-1.5]], x_W_x: [[0.5]], z: [[-0.5]] });
    expect(body.h[0][0]).toBeCloseTo(Math.tanh(-0.5), 6);
  });
});

describe('/v1/sequence', () => {
  const x = [[[1, 2]], [[3, 4]], [[5, 6]]];

  test('the answer has hs and h, and what is asked for', async () => {
    const both = await app.post('/v1/sequence', { weights: W, x });
    expect(both.body.hs).toHaveLength(3);
    expect(both.body.h).toEqual(both.body.hs[2]);
    const h = await app.post('/v1/sequence', { weights: W, x, outputs: ['h'] });
    expect(h.body).toEqual({ h: both.body.h });
    const hs = await app.post('/v1/sequence', { weights: W, x, outputs: ['hs'] });
    expect(hs.body).toEqual({ hs: both.body.hs });
  });

  test('a row stops after its length: hs is 0 beyond, h is its last valid state', async () => {
    const rows = x.map(([x_t]) => [x_t, x_t, x_t]);
    const h = [row(3, 0.1), row(3, 0.2), row(3, 0.3)];
    const full = await app.post('/v1/sequence', { weights: W, x: rows, h });
    const stopped = await app.post('/v1/sequence', { weights: W, x: rows, h, lengths: [2, 0, 3] });
    expect(stopped.status).toBe(200);
    const zeros = [0, 0, 0];
    expect(stopped.body.hs.map((states: number[][]) => states[0])).toEqual([
      full.body.hs[0][0],
      full.body.hs[1][0],
      zeros,
    ]);
    expect(stopped.body.hs.map((states: number[][]) => states[1])).toEqual([zeros, zeros, zeros]);
    expect(stopped.body.hs.map((states: number[][]) => states[2])).toEqual(
      full.body.hs.map((states: number[][]) => states[2]),
    );
    expect(stopped.body.h).toEqual([full.body.hs[1][0], h[1], full.body.hs[2][2]]);
  });

  test('a trace has every step, in the layout asked for, and 0 beyond a length', async () => {
    const body = { weights: W, x: x.map(([x_t]) => [x_t, x_t]), lengths: [3, 1], trace: true };
    const { body: response } = await app.post('/v1/sequence', body);
    expect(response.trace.z.map((states: number[][]) => states.length)).toEqual([2, 2, 2]);
    expect(response.trace.z[2][1]).toEqual([0, 0, 0]);
    for (const [t, states] of response.hs.entries()) {
      expect(Math.tanh(response.trace.z[t][0][0])).toBeCloseTo(states[0][0], 6);
    }
    const swapped = [0, 1].map((n) => body.x.map((rows) => rows[n]));
    const { body: ntd } = await app.post('/v1/sequence', { ...body, x: swapped, layout: 'NTD' });
    expect(ntd.trace.x_W_x[0][2]).toEqual(response.trace.x_W_x[2][0]);
  });
});

describe('numbers', () => {
  test('numbers of a wide model whose sums overflow to NaN are refused', async () => {
    const wide = await buildApp();
    const D = 96;
    const W_x = Array.from({ length: D }, () => [3e38]);
    // Within a block of 16 an infinite sum stays infinite, as fused products are finite; the next block has the other sign.
    const x = [Array.from({ length: D }, (_, k) => (k % 32 < 16 ? 3e38 : -3e38))];
    const { status, body } = await wide.post('/v1/step', { weights: { W_x, W_h: [[1]] }, x });
    expect(status).toBe(422);
    expect(body).toMatchObject({ code: 'not_finite', errors: [{ pointer: '/h' }] });
    expect(body.detail).toMatch(/h\[0\]\[0\] is NaN/);
  });

  test('sums of a narrow model do not overflow before a finite sum', async () => {
    const response = await app.post('/v1/step', {
      weights: { W_x: [[3e38]], W_h: [[3e38]] },
      x: [[-3e38]],
      h: [[3e38]],
    });
    expect(response.body).toEqual({ h: [[0]] });
  });

  test('numbers that earlier requests left in memory are not in a response', async () => {
    const fresh = await buildApp();
    const bytes = 1024 * 1024;
    const ptr = fresh.memory.allocate(bytes);
    fresh.memory.f32(ptr, bytes / 4).fill(NaN);
    fresh.memory.free(ptr);
    // H = 3: five columns of padding behind each row, of trace and state alike.
    for (const D of [1, 100]) {
      const body = { weights: weights(D, 3), x: [[row(D)], [row(D)]], trace: true };
      const whole = await fresh.post('/v1/sequence', body);
      expect(whole.status, JSON.stringify(whole.body)).toBe(200);
      const shorter = await fresh.post('/v1/sequence', { ...body, lengths: [1] });
      expect(shorter.body.hs).toEqual([whole.body.hs[0], [[0, 0, 0]]]);
      expect(shorter.body.trace.z).toEqual([whole.body.trace.z[0], [[0, 0, 0]]]);
    }
  });

  test('a z that overflows without a trace gives a valid state: tanh of it is ±1', async () => {
    const response = await app.post('/v1/step', {
      weights: { W_x: [[3e38]], W_h: [[0]] },
      x: [[-3e38]],
    });
    expect(response.body).toEqual({ h: [[-1]] });
  });
});
