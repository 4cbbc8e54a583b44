// The same bits over HTTP for every batch, split, layout and number of workers.
import { describe, expect, test } from 'vitest';
import { buildApp } from '../helpers/app.ts';
import { expectSameBits } from '../helpers/expect-bits.ts';
import { runs } from '../helpers/long.ts';
import {
  type Recurrence,
  nested,
  randomRecurrence,
  recurrences,
  referenceStates,
  weightsBody,
} from '../helpers/recurrence.ts';
import { fc } from '../helpers/seed.ts';

const app = await buildApp();
const appOfTwoWorkers = await buildApp({ WORKERS: '2' }, { inlineFlopsMax: 1 });

function bodyOf({ T, N, weights, x, h }: Recurrence) {
  const { D, H } = weights;
  return { weights: weightsBody(weights), x: nested(x, [T, N, D]), h: nested(h, [N, H]) };
}

async function sequence(body: object, on = app) {
  const response = await on.post('/v1/sequence', body);
  expect(response.status, JSON.stringify(response.body).slice(0, 300)).toBe(200);
  return response.body;
}

describe('random shapes up to 70', () => {
  test('a sequence has the bits of the scalar reference', async () => {
    await fc.assert(
      fc.asyncProperty(recurrences(), async (input) => {
        const { hs } = await sequence(bodyOf(input));
        expectSameBits(hs, referenceStates(input));
      }),
      { numRuns: runs(60) },
    );
  });

  test('T steps have the bits of one sequence', async () => {
    await fc.assert(
      fc.asyncProperty(recurrences(), async (input) => {
        const body = bodyOf(input);
        const { hs, h: last } = await sequence(body);
        let { h } = body;
        for (const [t, x] of body.x.entries()) {
          const step = await app.post('/v1/step', { weights: body.weights, x, h });
          ({ h } = step.body);
          expectSameBits(h, hs[t]);
        }
        expectSameBits(h, last);
      }),
      { numRuns: runs(40) },
    );
  });

  test('a sequence split anywhere continues with the same bits', async () => {
    const cuts = recurrences(70, 12).chain((input) =>
      fc.tuple(fc.constant(input), fc.subarray([...Array(input.T).keys()].slice(1))),
    );
    await fc.assert(
      fc.asyncProperty(cuts, async ([input, places]) => {
        const body = bodyOf(input);
        const whole = await sequence(body);
        let { h } = body;
        const hs = [];
        for (const [i, start] of [0, ...places].entries()) {
          const x = body.x.slice(start, places[i] ?? input.T);
          const part = await sequence({ weights: body.weights, x, h });
          hs.push(...part.hs);
          ({ h } = part);
        }
        expectSameBits(hs, whole.hs);
        expectSameBits(h, whole.h);
      }),
      { numRuns: runs(40) },
    );
  });

  test('a row alone has the bits it has in a batch, wherever it stands', async () => {
    await fc.assert(
      fc.asyncProperty(recurrences(), fc.nat(), fc.nat(), async (input, pick, shift) => {
        const body = bodyOf(input);
        const { N } = input;
        const n = pick % N;
        const rotate = <Row>(rows: Row[]) => rows.map((_, i) => rows[(i + shift) % N]!);
        const { h } = await sequence(body);
        const alone = await sequence({
          weights: body.weights,
          x: body.x.map((rows: number[][]) => [rows[n]]),
          h: [body.h[n]],
        });
        const rotated = await sequence({
          weights: body.weights,
          x: body.x.map(rotate),
          h: rotate(body.h),
        });
        expectSameBits(alone.h, h[n]);
        expectSameBits(rotated.h, rotate(h));
      }),
      { numRuns: runs(40) },
    );
  });

  test('the layout changes the order of the axes and nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(recurrences(20), async (input) => {
        const body = bodyOf(input);
        const { T, N } = input;
        const swap = (rows: any[][]) =>
          rows[0]!.map((_, j) => rows.map((row) => row[j]));
        const plain = await sequence(body);
        const swapped = await sequence({ ...body, x: swap(body.x), layout: 'NTD' });
        expect([swapped.hs.length, swapped.hs[0].length]).toEqual([N, T]);
        expectSameBits(swap(swapped.hs), plain.hs);
        expectSameBits(swapped.h, plain.h);
      }),
      { numRuns: runs(30) },
    );
  });
});

test('two workers under concurrent requests answer with the bits of one', async () => {
  const inputs = Array.from({ length: 60 }, (_, seed) =>
    randomRecurrence({ T: 1 + (seed % 5), N: 1 + (seed % 9), D: 1 + (seed % 17), H: 1 + seed }, seed),
  );
  const two = await Promise.all(inputs.map((input) => sequence(bodyOf(input), appOfTwoWorkers)));
  for (const [i, input] of inputs.entries()) {
    const one = await sequence(bodyOf(input));
    expect(two[i]).toEqual(one);
    expectSameBits(one.hs, referenceStates(input));
  }
});
