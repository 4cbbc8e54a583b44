// How the blocks of products were chosen: `node test/kernels/block-error.ts` prints, for products over K values and blocks
// of several lengths, the root mean square of the rounding error of c = x W_x + h W_h, in units of 2^-24. The table is that
// of src/kernels/README.md.
import { fusedMultiplyAdd } from '../../src/wasm/fused-multiply-add.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';

const { fround } = Math;

const SIZES = [64, 128, 192, 256, 512, 1_024, 2_048];
/** The last one is longer than all products: no blocks. */
const BLOCKS = [8, 16, 32, 64, 128, 4_096];
const PRODUCTS = 1_500_000;
const UNIT = 2 ** -24;

/** c + Σ a_k w_k by blocks, as the plain reference adds. */
function addBlocks(c: number, a: Float32Array, w: Float32Array, size: number): number {
  let sum = c;
  for (let first = 0; first < a.length; first += size) {
    const end = Math.min(a.length, first + size);
    let block = 0;
    for (let k = first; k < end; k++) block = fusedMultiplyAdd(a[k]!, w[k]!, block);
    sum = fround(sum + block);
  }
  return sum;
}

/** Root mean square of the error for each of BLOCKS. */
function errorsOf(K: number): number[] {
  const random = pseudoRandom(K);
  const fill = (scale: number) => Float32Array.from({ length: K }, () => random() * scale);
  const squares = BLOCKS.map(() => 0);
  const sums = Math.floor(PRODUCTS / K);
  for (let i = 0; i < sums; i++) {
    const [x, h, W_x, W_h] = [fill(1), fill(1), fill(1.5 / Math.sqrt(K)), fill(1.5 / Math.sqrt(K))];
    let exact = 0;
    for (let k = 0; k < K; k++) exact += x[k]! * W_x[k]! + h[k]! * W_h[k]!;
    for (const [b, size] of BLOCKS.entries()) {
      const c = addBlocks(addBlocks(0, x, W_x, size), h, W_h, size);
      squares[b]! += ((c - exact) / UNIT) ** 2;
    }
  }
  return squares.map((square) => Math.sqrt(square / sums));
}

console.log(`     K${BLOCKS.map((size) => String(size).padStart(7)).join('')}`);
for (const K of SIZES) {
  const errors = errorsOf(K).map((error) => error.toFixed(2).padStart(7));
  console.log(String(K).padStart(6) + errors.join(''));
}
