// The promise across engines: hashes over the bits of a thousand recurrences, one each of their states,
// readouts and traces. It runs under any supported Node.js without a test runner (`npm run verify:nodes`
// runs it under three, with and without 256-bit vectors), prints the hashes and fails if they are not the
// committed ones.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { compiledKernels, runKernels } from '../helpers/kernels.ts';
import { randomRecurrence } from '../helpers/recurrence.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';

const file = join(import.meta.dirname, 'golden.sha256');

const RECURRENCES = 1_000;
/** A trace computes everything once more. */
const TRACED_EVERY = 4;

/**
 * Shapes and values come from fixed seeds; T, N, D, H and O go up to 8, 70, 70, 70 and 70: narrow models
 * and wide ones.
 *
 * @returns one line for each hash, as sha256sum has them
 */
export function goldenHashes(): string {
  const random = pseudoRandom(2026);
  const randomReadout = pseudoRandom(2027);
  const pick = (max: number, from = random) => 1 + Math.floor(((from() + 1) / 2) * max);
  const [states, readouts, traces] = [createHash('sha256'), createHash('sha256'), createHash('sha256')];
  for (let seed = 0; seed < RECURRENCES; seed++) {
    const shape = { T: pick(8), N: pick(70), D: pick(70), H: pick(70) };
    const O = pick(70, randomReadout);
    const W_y = Float32Array.from({ length: shape.H * O }, randomReadout);
    const b_y = Float32Array.from({ length: O }, randomReadout);
    const trace = seed % TRACED_EVERY === 0;
    const result = runKernels(randomRecurrence(shape, seed), { readout: { O, W_y, b_y }, trace });
    states.update(result.hs!).update(result.h);
    readouts.update(result.ys!).update(result.y!);
    if (!result.trace) continue;
    const { h_W_h, x_W_x, z } = result.trace;
    traces.update(h_W_h).update(x_W_x).update(z);
  }
  const lines = Object.entries({ states, readouts, traces });
  return lines.map(([name, hash]) => `${hash.digest('hex')}  ${name}\n`).join('');
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
