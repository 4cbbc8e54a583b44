// The reading kernel and checkJson() have the same bounds: a long body up to them is read, and one beyond them is
// refused with the bound that it exceeds.
import { expect, test } from 'vitest';
import { CONTAINERS_MAX, DEPTH_MAX, KEYS_MAX, TENSORS_MAX } from '../../src/kernels/layout.ts';
import { lifetimeOf } from '../helpers/lifetime.ts';
import { jobCodec } from './fuzz.ts';

const BYTES_MAX = 64 * 1024;

async function read(text: string): Promise<unknown> {
  const block = jobCodec.allocate(text.length);
  block.append(Buffer.from(text));
  const body = await jobCodec.parse(block, lifetimeOf());
  body.release();
  return body.value;
}

const times = (count: number, item: (i: number) => string) => Array.from({ length: count }, (_, i) => item(i)).join(',');

test.each([
  ['depth', DEPTH_MAX, (depth: number) => `${'[ '.repeat(depth)}{"x":[[[1]]]}${']'.repeat(depth)}`, -1],
  ['arrays and objects', CONTAINERS_MAX, (count: number) => `[ ${times(count, () => '[]')}]`, -1],
  ['keys', KEYS_MAX, (count: number) => `{${times(count, (i) => `"${i}" : 1`)}}`, 0],
  ['keys within a tensor', KEYS_MAX, (count: number) => `{${times(count - 1, (i) => `"${i}":1`)},"x":[1]}`, 0],
  ['tensors', TENSORS_MAX, (count: number) => `[${times(count, () => '{"x":[[1,2],[3,4]]}')}]`, 0],
  ['bytes of a string', BYTES_MAX, (bytes: number) => `{"q" : "${'a'.repeat(bytes)}"}`, -8],
  ['bytes of keys', BYTES_MAX, (bytes: number) => `{"${'a'.repeat(bytes)}":1}`, -6],
  ['bytes of numbers', BYTES_MAX, (bytes: number) => `[${times(bytes / 2, () => '1')} ]`, -1],
  ['bytes of the first number of a tensor', BYTES_MAX, (bytes: number) => `{"x":[ 0.${'1'.repeat(bytes)},2]}`, -8],
  ['bytes beside tensors', BYTES_MAX, (bytes: number) => `{"x" :[1,${times(9_000, () => '22222222')}],"q":"${'a'.repeat(bytes)}"}`, -14],
])('a body up to the bound of %s is read, and one beyond it is refused', async (_, bound, textOf, beside) => {
  await expect(read(textOf(bound + beside))).resolves.toBeDefined();
  const step = textOf(bound + beside + 1).length > textOf(bound + beside).length ? 1 : 2;
  await expect(read(textOf(bound + beside + step))).rejects.toMatchObject({
    code: 'invalid_request',
    message: expect.stringContaining(`more than ${bound} `),
  });
});

test('white space does not count for the bounds', async () => {
  const space = ' \n\t\r'.repeat(BYTES_MAX);
  const text = `${space}{${space}"x"${space}:${space}[${space}1${space}]${space},${space}"n"${space}:${space}[1,${space}2]}${space}`;
  await expect(read(text)).resolves.toMatchObject({ n: [1, 2] });
});
