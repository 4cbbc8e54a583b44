// Registration of a model: shapes and limits are checked before anything is packed.
import type { ModelLibrary } from '../models/library.ts';
import type { ModelInfo } from '../models/registry.ts';
import type { Readout } from '../tensor.ts';
import { readWeights } from './engine.ts';
import {
  type Limits,
  type ReadoutSource,
  type WeightsSource,
  agreeOnReadout,
  agreeOnWeights,
  expectWithinLimits,
} from './shapes.ts';

export interface ModelSource {
  readonly weights: WeightsSource;
  readonly readout?: ReadoutSource | undefined;
  readonly name?: string | undefined;
  /** False if the weights came with a session; see StoredModel. */
  readonly isKept?: boolean;
}

/**
 * `created` is false if the same weights (and readout) were registered before.
 *
 * @throws shape_mismatch · out_of_range · limit_exceeded · name_taken · built_in_model · models_full · memory_full ·
 *   store_full · store_unavailable
 */
export async function registerModel(
  library: ModelLibrary,
  { weights, readout, name, isKept }: ModelSource,
  limits: Limits,
): Promise<{ info: ModelInfo; created: boolean }> {
  const sizes = agreeOnWeights(weights);
  expectWithinLimits({ D: sizes.D, H: sizes.H }, limits);
  const O = readout && agreeOnReadout(readout, sizes);
  // A readout is as wide as a state may be.
  if (O !== undefined) expectWithinLimits({ H: O }, limits);
  return library.register(readWeights(weights), readout && readReadout(readout), { name, isKept });
}

function readReadout({ W_y, b_y }: ReadoutSource): Readout {
  const [H, O] = W_y.shape as [number, number];
  const readout = { O, W_y: new Float32Array(H * O), b_y: new Float32Array(O) };
  W_y.copyTo(readout.W_y);
  b_y?.copyTo(readout.b_y);
  return readout;
}
