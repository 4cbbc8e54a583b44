// Registration of a model: shapes and limits are checked before anything is packed.
import type { Lifetime } from '../lifetime.ts';
import type { ModelLibrary } from '../models/library.ts';
import type { ModelInfo } from '../models/registry.ts';
import type { Readout } from '../tensor.ts';
import { readWeights } from './engine.ts';
import {
  type Limits,
  type ReadoutSource,
  type WeightsSource,
  resolveReadoutSizes,
  resolveWeightsSizes,
  expectWithinLimits,
} from './shapes.ts';
import type { WeightsPacker } from './weights-packer.ts';

export interface ModelSource {
  readonly weights: WeightsSource;
  readonly readout?: ReadoutSource | undefined;
  readonly name?: string | undefined;
  /** False if the weights came with a session; see StoredModel. */
  readonly isKept?: boolean;
}

export interface RegisterParts {
  readonly library: ModelLibrary;
  readonly limits: Limits;
  /** Hashes and packs large weights on workers. Absent, as at the start, this thread does. */
  readonly weightsPacker?: WeightsPacker;
}

/**
 * Registers weights, and a readout if there is one. `created` is false if the same were registered before.
 *
 * @throws shape_mismatch · out_of_range · limit_exceeded · name_taken · built_in_model · models_full ·
 *   memory_full · store_full · store_unavailable; for large weights also queue_full · deadline_exceeded ·
 *   client_closed · worker_failed
 */
export async function registerModel(
  { library, limits, weightsPacker }: RegisterParts,
  { weights, readout, name, isKept }: ModelSource,
  lifetime?: Lifetime,
): Promise<{ info: ModelInfo; created: boolean }> {
  const model = resolveWeightsSizes(weights);
  const { D, H } = model;
  expectWithinLimits({ D, H }, limits);
  const O = readout && resolveReadoutSizes(readout, model);
  // O may be as large as H may be.
  if (O !== undefined) expectWithinLimits({ H: O }, limits);
  const sizes = { D, H, O: O ?? 0 };
  if (!weightsPacker?.isLarge(sizes) || !lifetime) {
    return library.register(readWeights(weights), readout && readReadout(readout), { name, isKept });
  }
  using block = await weightsPacker.gather(weights, readout, lifetime);
  const isPacked = (id: string) => {
    const found = library.registry.has(id);
    if (!found) library.registry.expectCapacity(sizes);
    return found;
  };
  const prepared = await weightsPacker.prepare(block, isPacked, lifetime);
  return await library.register(block.weights, block.readout, { name, isKept, prepared });
}

function readReadout({ W_y, b_y }: ReadoutSource): Readout {
  const [H, O] = W_y.shape as [number, number];
  const readout = { O, W_y: new Float32Array(H * O), b_y: new Float32Array(O) };
  W_y.copyTo(readout.W_y);
  b_y?.copyTo(readout.b_y);
  return readout;
}
