// The page draws the characters that `carryover generate` draws.
import { expect, test } from 'vitest';
import { Sampler as CliSampler } from '../../src/cli/generate/sampler.ts';
import { Sampler } from '../../src/pages/try/sampler.ts';

const PROBABILITIES = Float32Array.of(0.05, 0.4, 0.0001, 0.2, 0.25, 0.0999);
const DRAWS = 2_000;

test.each([
  [7, 0.6],
  [0, 1],
  [2 ** 32 - 1, 2.5],
])('with the seed %d at temperature %d', (seed, temperature) => {
  const [cli, page] = [new CliSampler(seed, temperature), new Sampler(seed, temperature)];
  const expected = Array.from({ length: DRAWS }, () => cli.draw([...PROBABILITIES]));
  expect(Array.from({ length: DRAWS }, () => page.draw(PROBABILITIES))).toEqual(expected);
  expect(new Set(expected).size).toBeGreaterThan(3);
  const later = new Sampler(seed, temperature, 500);
  expect(Array.from({ length: 100 }, () => later.draw(PROBABILITIES))).toEqual(expected.slice(500, 600));
});
