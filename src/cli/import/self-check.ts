// The self-check of an import: the kernels compute the layers of the file with the bits of the plain reference.
import type { Layer } from '../../layers.ts';
import { compareWithReference } from '../../wasm/self-test.ts';
import { countOf, tensorsOf } from '../../wasm/layer-tensors.ts';
import { pseudoRandom } from '../../wasm/pseudo-random.ts';
import { CliError } from '../cli-error.ts';
import { EXIT } from '../exit-codes.ts';
import { openKernels } from '../kernels.ts';

export interface SelfCheck {
  readonly T: number;
  readonly N: number;
  readonly ms: number;
  /** The vectors of the kernels, e.g. `simd256`. */
  readonly kernel: string;
}

/** Steps of all rows, if the model is small. */
const ROW_STEPS_MAX = 6;
/** The reference does about 20 million fused multiply-adds a second. */
const PRODUCTS_MAX = 1e7;

/** @throws CliError if a bit differs */
export function selfCheck(layers: readonly Layer[]): SelfCheck {
  const startMs = performance.now();
  // Of an embedding one row is read, whatever it has.
  const weights = tensorsOf(layers)
    .filter(({ name }) => !name.endsWith('.E'))
    .reduce((sum, { shape }) => sum + countOf(shape), 0);
  const rowSteps = Math.min(ROW_STEPS_MAX, Math.max(1, Math.floor(PRODUCTS_MAX / weights)));
  const N = rowSteps >= 4 ? 2 : 1;
  const T = Math.floor(rowSteps / N);
  const { kernels, memory, path } = openKernels();
  try {
    compareWithReference(kernels, memory, { T, N, layers }, pseudoRandom(1));
  } catch (cause) {
    throw new CliError(EXIT.software, (cause as Error).message, { cause });
  }
  return { T, N, ms: Math.round(performance.now() - startMs), kernel: path };
}
