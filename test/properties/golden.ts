// The promise across engines: hashes over the bits of the functions on fixed numbers, and of a thousand models: states
// of each cell, outputs of the layers behind them, of stacks of any layers, and traces. It runs under any supported
// Node.js without a test runner (`npm run verify:nodes` runs it under three, with and without 256-bit vectors), prints
// the hashes and fails if they are not the committed ones.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type DenseActivation, outputsOf } from '../../src/layers.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { type LayersOutput, compiledKernels, kernels, memory, runLayers } from '../helpers/kernels.ts';
import { DIRECTIONS, type Stack, cellsOf, randomStack, stackOf } from '../helpers/stacks.ts';

const file = join(import.meta.dirname, 'golden.sha256');

const FUNCTIONS = ['tanh', 'sigmoid', 'exp'] as const;
/** One float32 out of as many: a prime number, so that all low bits occur. */
const FUNCTION_STEP = 16_381;
const MODELS_PER_CELL = 160;
const STACKS = 200;
const ACTIVATIONS: readonly DenseActivation[] = ['linear', 'relu', 'tanh', 'sigmoid', 'softmax'];
/** A trace computes products once more. */
const TRACED_EVERY = 4;

/** @returns one line for each hash, as sha256sum has them */
export function goldenHashes(): string {
  const hashes = new Map<string, ReturnType<typeof createHash>>();
  const update = (name: string, numbers: readonly (Float32Array | undefined)[]) => {
    if (!hashes.has(name)) hashes.set(name, createHash('sha256'));
    for (const some of numbers) if (some) hashes.get(name)!.update(some);
  };
  for (const name of FUNCTIONS) update(name, [resultsOf(kernels[name])]);
  for (const { name, layers, input, isTraced } of models()) {
    const output = runLayers(layers, input, { trace: isTraced });
    const { h, c, hs, y, ys } = output;
    update(name, [...h, ...c, hs]);
    update('outputs', [y, ys]);
    if (isTraced) update('traces', traced(output));
  }
  return [...hashes].map(([name, hash]) => `${hash.digest('hex')}  ${name}\n`).join('');
}

/** A function's results for float32 from all of their range: zeros, subnormal numbers, infinities and NaN, too. */
function resultsOf(compute: (source: number, target: number, count: number) => void): Float32Array {
  const special = [0, -0, 2 ** -149, -(2 ** -149), 2 ** -126, -(2 ** -126), 1, -1, Infinity, -Infinity, NaN];
  const count = Math.ceil((special.length + 2 ** 32 / FUNCTION_STEP) / 8) * 8;
  const ptr = memory.allocate(count * Float32Array.BYTES_PER_ELEMENT);
  const words = memory.u32(ptr, count);
  for (let i = 0; i < count; i++) words[i] = i * FUNCTION_STEP;
  const numbers = memory.f32(ptr, count);
  numbers.set(special);
  compute(ptr, ptr, count);
  // The bits of a NaN are no promise: WebAssembly leaves them to the engine.
  for (let i = 0; i < count; i++) if (Number.isNaN(numbers[i])) words[i] = 0x7fc0_0000;
  const results = numbers.slice();
  memory.free(ptr);
  return results;
}

/**
 * Shapes and values come from fixed seeds; T, N, D, H and O go up to 8, 20, 70, 70 and 70: narrow layers and wide ones,
 * in all directions, behind them a dense layer with each activation. Then stacks of up to five layers of any kinds.
 */
function* models(): Generator<Stack & { readonly name: string; readonly isTraced: boolean }> {
  const random = pseudoRandom(2026);
  const pick = (max: number) => 1 + Math.floor(((random() + 1) / 2) * max);
  const isTraced = (index: number) => index % TRACED_EVERY === 0;
  for (let index = 0; index < MODELS_PER_CELL; index++) {
    const sizes = { D: pick(70), H: pick(70), direction: DIRECTIONS[index % DIRECTIONS.length]! };
    const activation = ACTIVATIONS[index % ACTIVATIONS.length]!;
    for (const [name, cell] of cellsOf(sizes)) {
      const head = { type: 'dense', activation, I: outputsOf(cell), O: pick(70) } as const;
      yield { name, ...stackOf([cell, head], { T: pick(8), N: pick(20) }, index), isTraced: isTraced(index) };
    }
  }
  for (let index = 0; index < STACKS; index++) {
    const stack = randomStack({ depth: pick(5), size: pick(70), T: pick(6), N: pick(6) }, index);
    yield { name: 'stacks', ...stack, isTraced: isTraced(index) };
  }
}

function traced({ trace, products }: LayersOutput): (Float32Array | undefined)[] {
  return [...trace.flatMap(({ z, gates }) => [z, gates]), products?.h_W_h, products?.x_W_x];
}

export function committedHashes(): string {
  return readFileSync(file, 'utf8');
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const hashes = goldenHashes();
  if (process.argv.includes('--write')) writeFileSync(file, hashes);
  const isSame = hashes === committedHashes();
  console.log(`${process.version} ${compiledKernels.path} ${isSame ? 'same' : 'DIFFERENT'}\n${hashes}`);
  process.exitCode = isSame ? 0 : 1;
}
