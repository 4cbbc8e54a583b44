// carryover import --check: what torch computed is compared with what the kernels compute. ../fixtures/npz/make.py made
// the files.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { carryover } from '../helpers/command-line.ts';
import { readArrays } from '../../src/cli/check/arrays.ts';
import { ulpOf } from '../../src/cli/check/compare.ts';

const model = (name: string) => join(import.meta.dirname, '../fixtures/pytorch', `${name}.pt`);
const arrays = (name: string) => join(import.meta.dirname, '../fixtures/npz', `${name}.npz`);
const folder = mkdtempSync(join(tmpdir(), 'carryover-check-'));
afterAll(() => rmSync(folder, { recursive: true }));

const check = (name: string, file: string, ...options: string[]) =>
  carryover(['import', model(name), '--check', file, ...options]);

/** A file of --check in JSON. */
function jsonFile(value: unknown): string {
  const file = join(folder, 'arrays.json');
  writeFileSync(file, typeof value === 'string' ? value : JSON.stringify(value));
  return file;
}

type Nested = number | Nested[];

/** The arrays of a .npz file as nested lists, but for some that are replaced. */
async function nestedArrays(
  name: string,
  changes: (nested: Record<string, Nested>) => Record<string, Nested>,
): Promise<string> {
  const read = await readArrays(arrays(name));
  const nest = (data: ArrayLike<number>, [size, ...inner]: readonly number[], at: number): Nested => {
    const step = inner.reduce((product, axis) => product * axis, 1);
    return Array.from({ length: size! }, (_, k) => (inner.length === 0 ? data[at + k]! : nest(data, inner, at + k * step)));
  };
  return jsonFile(changes(Object.fromEntries([...read].map(([key, { data, shape }]) => [key, nest(data, shape, 0)]))));
}

describe('what torch computed is within the tolerance', () => {
  test.each([
    ['gru-tails', [], ['hs', 'h']],
    ['lstm-bidirectional', ['--layout', 'NTD'], ['hs', 'h.0', 'h.1', 'c.0', 'c.1']],
    ['tokens', [], ['hs', 'ys', 'y', 'h.0', 'h.1', 'c.0', 'c.1']],
    ['half', [], ['hs']],
  ])('%s', async (name, options, outputs) => {
    const { exitCode, json } = await check(name, arrays(name), ...options, '--json');
    const report = json();
    expect(exitCode).toBe(0);
    expect(report.check.outputs.map((output: { name: string }) => output.name)).toEqual(outputs);
    expect(report.check.isWithin).toBe(true);
    expect(report.registered).toBeUndefined();
    for (const { largest } of report.check.outputs) expect(largest.absolute).toBeLessThan(name === 'half' ? 2e-4 : 1e-6);
  });

  test('the table names the largest difference, its place and both values', async () => {
    const { stdout } = await check('gru-tails', arrays('gru-tails'));
    expect(stdout).toMatch(
      /^hs {2,}\(6, 3, 7\) {2,}[\d.]+e-7 {2,}\d+ {2,}\[\d, \d, \d\] {2,}-?0\.\d{6,} {2,}-?0\.\d{6,} {2,}0\.00001 {2,}0 of 126$/m,
    );
    expect(stdout).toMatch(/\n\ncheck {2}within the tolerance \(T=6, N=3\)\n$/);
  });

  test('the same arrays in JSON are compared alike', async () => {
    const file = await nestedArrays('tokens', (all) => all);
    const [npz, json] = [await check('tokens', arrays('tokens'), '--json'), await check('tokens', file, '--json')];
    expect(json.json().check).toEqual(npz.json().check);
  });

  test('without the axis N there is one row', async () => {
    const file = await nestedArrays('gru-tails', ({ x, hs, h0 }) => {
      const first = (steps: Nested) => (steps as Nested[][]).map(([row]) => row!);
      return { x: first(x!), hs: first(hs!), h0: first(h0!) };
    });
    expect((await check('gru-tails', file)).stdout).toContain('check  within the tolerance (T=6, N=1)');
  });

  test('of hs the last step alone, as a program returns it', async () => {
    const file = await nestedArrays('lstm-bidirectional', ({ x, hs }) => ({
      x: x!,
      hs: (hs as Nested[][]).map((steps) => steps.at(-1)!),
    }));
    const { exitCode, stdout } = await check('lstm-bidirectional', file, '--layout', 'NTD');
    expect(exitCode).toBe(0);
    expect(stdout).toMatch(/^hs {2,}\(3, \d+\) .* 0 of \d+$/m);
  });

  test('rows of unequal length end where lengths says', async () => {
    const file = await nestedArrays('gru-tails', ({ x, h0, hs }) => {
      const h = (hs as Nested[][])[3]!;
      return { x: x!, h0: h0!, h: [h[0]!, (hs as Nested[][])[5]![1]!, (hs as Nested[][])[5]![2]!], lengths: [4, 6, 6] };
    });
    expect((await check('gru-tails', file)).exitCode).toBe(0);
  });
});

describe('a difference is found', () => {
  test('one element that is wrong is found with its place, and the exit code is 1', async () => {
    const file = await nestedArrays('gru-tails', (all) => {
      (all['hs'] as number[][][])[2]![1]![3]! += 0.001;
      return all;
    });
    const { exitCode, stdout } = await check('gru-tails', file);
    expect(exitCode).toBe(1);
    expect(stdout).toMatch(/^hs .* 0\.001 .*\[2, 1, 3\] .* 1 of 126$/m);
    expect(stdout).toContain('BEYOND THE TOLERANCE');
    expect(stdout).toContain('hs differs from [2, 1, 3] on');
    expect((await check('gru-tails', file, '--tolerance', '0.002')).exitCode).toBe(0);
  });

  test('nothing is registered then', async () => {
    const file = await nestedArrays('gru-tails', ({ x, h }) => ({ x: x!, h: h! }));
    let calls = 0;
    const fetch = async () => {
      calls++;
      return new Response();
    };
    const { exitCode } = await carryover(['import', model('gru-tails'), '--check', file, '--url', 'http://127.0.0.1:1'], {
      fetch,
    });
    // h0 is missing: zeros in its place give other states.
    expect({ exitCode, calls }).toEqual({ exitCode: 1, calls: 0 });
  });

  test('of a bidirectional layer y is not the last step of ys, which is said', async () => {
    const file = await nestedArrays('lstm-bidirectional', ({ x }) => ({ x: x!, y: (x as Nested[]).map(() => [9, 9, 9, 9, 9]) }));
    const { exitCode, stdout } = await check('lstm-bidirectional', file, '--layout', 'NTD');
    expect(exitCode).toBe(1);
    expect(stdout).toContain('as of out[:, -1], name it ys.');
  });

  test('states that are right leave the readout, whether they are of every step or the last ones', async () => {
    const file = await nestedArrays('tokens', ({ x, lengths, h, ys }) => {
      (ys as number[][][])[0]![0]![0]! += 1;
      return { x: x!, lengths: lengths!, h: h!, ys: ys! };
    });
    expect((await check('tokens', file)).stdout).toContain('The states are right, and what is behind them is not');
  });

  test('a model that is read as another one is found', async () => {
    const layers = JSON.stringify([{ type: 'gru', name: 'module.rnn', direction: 'reverse' }]);
    const { exitCode, stdout } = await check('gru-tails', arrays('gru-tails'), '--layers', layers);
    expect(exitCode).toBe(1);
    expect(stdout).toContain(
      'hs differs from [0, 0, 0] on: at the first step look at the layout of x, the activation and h0',
    );
  });
});

describe('what is wrong with a file of --check', () => {
  const x = [[[1, 2, 3, 4, 5]]];
  test.each([
    ['no x', { h: [[0]] }, 'has "h", expected also x, the inputs'],
    ['no output', { x }, 'expected also an output to compare with: hs, ys, y, h or c'],
    ['an unknown name', { x, out: [1] }, 'has the array "out", expected only x, h0, c0, lengths, hs'],
    [
      'another D',
      { x: [[[1, 2]]], h: [[0]] },
      'x has shape (1, 1, 2), expected (T, N, D) with D = 5, the inputs of the model',
    ],
    ['a ragged array', { x: [[[1, 2, 3, 4, 5]], []], h: [[0]] }, '"x" is ragged: a list is [], expected 1 entries'],
    ['a text', { x: [[['1', 2, 3, 4, 5]]], h: [[0]] }, '"x" has the element "1", expected a number'],
    [
      'nesting without end',
      `{"x":${'['.repeat(5_000)}${']'.repeat(5_000)}}`,
      '"x" is [an array], expected nested lists of numbers',
    ],
    ['y without a head', { x, y: [[1]] }, 'has y, but no layers are behind the last recurrent one'],
    ['c without an lstm', { x, c: [[1]] }, 'has c, but the model has no lstm'],
    [
      'a wrong H',
      { x, h: [[1, 2]] },
      'h has shape (1, 2), expected (N, H) = (1, 7), because x makes T = 1 and N = 1 with --layout TND.',
    ],
    [
      'lengths beyond T',
      { x, h: [[0, 0, 0, 0, 0, 0, 0]], lengths: [2] },
      'lengths has 2, expected whole numbers 0 … T = 1',
    ],
    ['no object', [1], 'expected an object with arrays'],
    ['no JSON', '{', 'is neither a .npz file nor JSON'],
  ])('%s', async (_, value, message) => {
    expect(await check('gru-tails', jsonFile(value))).toMatchObject({
      exitCode: 65,
      stderr: expect.stringContaining(message),
    });
  });

  test.each([
    ['refused-objects', '"x" has dtype "|O", expected float16, float32'],
    ['refused-dtype', '"x" has dtype ">f4", expected float16, float32'],
  ])('%s', async (name, message) => {
    expect(await check('gru-tails', arrays(name))).toMatchObject({
      exitCode: 65,
      stderr: expect.stringContaining(message),
    });
  });

  test('batch first without --layout is said', async () => {
    const { exitCode, stderr } = await check('lstm-bidirectional', arrays('lstm-bidirectional'));
    expect({ exitCode, stderr }).toEqual({
      exitCode: 65,
      stderr: expect.stringContaining('x seems to be batch first, as of batch_first=True and of Keras: add --layout NTD.'),
    });
  });

  test('every step under the name of the last one is said', async () => {
    const file = await nestedArrays('tokens', ({ x, ys }) => ({ x: x!, y: ys! }));
    expect((await check('tokens', file)).stderr).toContain('With every step its name is hs or ys.');
  });

  test('a row number that the embedding has not is refused', async () => {
    const { exitCode, stderr } = await check('tokens', jsonFile({ x: [[29]], h: [[[0]], [[0]]] }));
    expect({ exitCode, stderr }).toEqual({
      exitCode: 65,
      stderr: expect.stringContaining('x has the number 29 at element 0, expected a row number of the embedding, 0 … 28.'),
    });
  });

  test('a file that is missing is 66', async () => {
    expect((await check('gru-tails', join(folder, 'none.npz'))).exitCode).toBe(66);
  });
});

test('a unit in the last place is the distance of two float32', () => {
  const numbers = Float32Array.of(1, 1.5, 2, -3, 1e-3, 1e30, 2 ** -126);
  for (const value of numbers) {
    const next = new Float32Array(
      Uint32Array.of(new Uint32Array(Float32Array.of(Math.abs(value)).buffer)[0]! + 1).buffer,
    )[0]!;
    expect(ulpOf(value)).toBe(next - Math.abs(value));
  }
  expect(ulpOf(0)).toBe(2 ** -149);
  expect(ulpOf(NaN)).toBeNaN();
});
