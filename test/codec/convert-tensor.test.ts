// Matrices of files in our layout: transposed, and with the gates of a cell in our order.
import { expect, test } from 'vitest';
import { convertTensor } from '../../src/codec/convert-tensor.ts';
import { HOST_FUNCTIONS, blocksWord } from '../../src/wasm/host-functions.ts';
import { fc } from '../helpers/seed.ts';

/** Rows, the width of a block, and the order of the blocks. */
const cases = fc.record({
  rows: fc.integer({ min: 1, max: 7 }),
  width: fc.integer({ min: 1, max: 5 }),
  blocks: fc.integer({ min: 1, max: 4 }).chain((count) => {
    const order = Array.from({ length: count }, (_, j) => j);
    return fc.shuffledSubarray(order, { minLength: count, maxLength: count });
  }),
  swaps: fc.boolean(),
});

test('blocks of columns are put in order, here and by a worker', () => {
  fc.assert(
    fc.property(cases, ({ rows, width, blocks, swaps }) => {
      const columns = width * blocks.length;
      // Of the result, whose element (i, j) is in column blocks[j / width] · width + j % width of the file.
      const inFile = (i: number, j: number) => (swaps ? j * rows + i : i * columns + j);
      const expected = Array.from({ length: rows * columns }, (_, at) => {
        const [i, j] = [Math.floor(at / columns), at % columns];
        return inFile(i, blocks[Math.floor(j / width)]! * width + (j % width));
      });
      const numbers = Float32Array.from({ length: rows * columns }, (_, at) => at);
      const sizes = swaps ? ([columns, rows, 1] as const) : ([rows, columns, 1] as const);
      const input = Buffer.from(numbers.buffer);
      const target = new Float32Array(numbers.length);
      expect(convertTensor({ bytes: input, dtype: 'F32', sizes, swaps, blocks }, target)).toBe(-1);
      expect([...target]).toEqual(expected);

      const memory = new SharedArrayBuffer(target.byteLength);
      const args = Uint32Array.of(0, ...sizes, swaps ? 1 : 0, 0, blocksWord(blocks));
      expect(HOST_FUNCTIONS.convertTensor({ input, args, memory })).toBeUndefined();
      expect([...new Float32Array(memory)]).toEqual(expected);
    }),
  );
});
