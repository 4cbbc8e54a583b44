// The promise across engines: one hash over the bits of a thousand recurrences. It runs under any
// supported Node.js without a test runner (`npm run verify:nodes` runs it under three, with and
// without 256-bit vectors), prints the hash and fails if it is not the committed one.
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { compiledKernels, runKernels } from '../helpers/kernels.ts';
import { randomRecurrence } from '../helpers/recurrence.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';

const file = join(import.meta.dirname, 'golden.sha256');

/** Shapes and values come from a fixed seed; T, N, D and H go up to 8, 70, 70 and 70: narrow models and wide ones. */
export function goldenHash(): string {
  const random = pseudoRandom(2026);
  const pick = (max: number) => 1 + Math.floor(((random() + 1) / 2) * max);
  const hash = createHash('sha256');
  for (let seed = 0; seed < 1_000; seed++) {
    const shape = { T: pick(8), N: pick(70), D: pick(70), H: pick(70) };
    const { hs, h } = runKernels(randomRecurrence(shape, seed));
    hash.update(hs!).update(h);
  }
  return hash.digest('hex');
}

export function committedHash(): string {
  return readFileSync(file, 'utf8').trim();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const hash = goldenHash();
  if (process.argv.includes('--write')) writeFileSync(file, `${hash}\n`);
  const same = hash === committedHash();
  console.log(`${process.version} ${compiledKernels.path} ${hash} ${same ? 'same' : 'DIFFERENT'}`);
  process.exitCode = same ? 0 : 1;
}
