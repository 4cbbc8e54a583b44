import { describe, expect, test } from 'vitest';
import { ByteBlock } from '../../src/wasm/byte-block.ts';
import { ReadJob, TensorNames } from '../../src/wasm/read-job.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { kernels, memory } from '../helpers/kernels.ts';

const names = new TensorNames(memory, ['x']);
const random = pseudoRandom(3);
/** The kernel reads numbers that end within 16 bytes and within 32 bytes differently (kernels/read-numbers.ts). */
const LENGTH_MAX = 24;

describe('numbers of a row', () => {
  test.each([',', ', ', ' ,', ',\n\t', ' \r\n, '])(
    'numbers are Math.fround(Number(text)) for every length before and behind the point, between %j',
    (separator) => {
      for (const sign of ['', '-']) {
        for (let whole = 1; whole < LENGTH_MAX; whole++) {
          const decimals = Array.from({ length: LENGTH_MAX }, (_, size) => {
            const before = whole === 1 ? '0' : `1${digits(whole - 1)}`;
            return sign + before + (size === 0 ? '' : `.${digits(size)}`);
          });
          // In both orders, as each length is read at another place then, and is the last one.
          expectRead(decimals, separator);
          expectRead(decimals.toReversed(), separator);
        }
      }
    },
  );

  test.each(['00', '01', '-00.5', '-', '-.5', '.5', '5.', '-5.', '1..5', '1.5.2', '+1', '1,', ',1', '1 2'])(
    'no number is read from %j',
    (text) => {
      const longer = text.replace('5', '5'.repeat(17));
      for (const one of [text, longer]) {
        for (const row of [one, `0.5,${one}`, `${one},0.5`, `0.5, ${one} ,0.5`]) {
          expect(read(`[${row}]`), row).toBeUndefined();
        }
      }
    },
  );
});

function digits(count: number): string {
  return Array.from({ length: count }, () => Math.floor((random() + 1) * 5)).join('');
}

function expectRead(decimals: readonly string[], separator: string): void {
  const expected = Float32Array.from(decimals, Number);
  expect(read(`[${decimals.join(separator)}]`), decimals[0]).toEqual(expected);
}

/** Undefined if the kernel declines it. */
function read(array: string): Float32Array | undefined {
  const body = Buffer.from(`{"x":${array}}`);
  using document = new ByteBlock(memory, body.length);
  document.append(body);
  using job = new ReadJob(memory, document, {
    names,
    numbersMax: kernels.countCommas(document.ptr, document.bytes) + 1,
    outsideBytesMax: body.length,
  });
  kernels.run(job.ptr);
  return job.skeleton() && job.tensors()[0]?.numbers()?.slice();
}
