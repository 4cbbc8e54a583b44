// Registration of a model: shapes and limits are checked before anything is packed.
import type { Lifetime } from '../lifetime.ts';
import type { ModelLibrary } from '../models/library.ts';
import type { ModelInfo } from '../models/model-info.ts';
import { resolveLayers } from './layer-sources.ts';
import {
  type LayersSource,
  type ReadoutSource,
  type ResolvedModel,
  type WeightsSource,
  readLayers,
} from './model-source.ts';
import { type Limits, expectWithinLimits } from './shapes.ts';
import { resolveShortForm } from './short-form.ts';
import type { WeightsPacker } from './weights-packer.ts';

export interface RegisterOptions {
  readonly name?: string | undefined;
  /** False if the weights came with a session; see StoredModel. */
  readonly isKept?: boolean;
}

interface ShortSource {
  readonly weights: WeightsSource;
  readonly readout?: ReadoutSource | undefined;
}

export type ModelSource = (LayersSource | ShortSource) & RegisterOptions;

export interface RegisterParts {
  readonly library: ModelLibrary;
  readonly limits: Limits;
  /** Hashes and packs large weights on workers. Absent, as at the start, this thread does. */
  readonly weightsPacker?: WeightsPacker;
}

/**
 * Registers a model for the tenant of `lifetime`. `created` is false if the same was registered before, by the same tenant.
 *
 * @throws shape_mismatch · out_of_range · limit_exceeded · invalid_request · name_taken · built_in_model ·
 *   models_full · memory_full · store_full · store_unavailable; for large weights also queue_full ·
 *   deadline_exceeded · client_closed · worker_failed
 */
export async function registerModel(
  { library, limits, weightsPacker }: RegisterParts,
  source: ModelSource,
  lifetime?: Lifetime,
): Promise<{ info: ModelInfo; created: boolean }> {
  const model = resolve(source, limits);
  const { name, isKept } = source;
  const { tenant, usage } = lifetime ?? {};
  if (!weightsPacker?.isLarge(model.layers) || !lifetime) {
    return library.register(readLayers(model), { name, isKept, tenant, usage });
  }
  using block = await weightsPacker.gather(model, lifetime);
  const isPacked = (id: string) => {
    const found = library.registry.has(id);
    if (!found) library.registry.expectCapacity(model.layers);
    return found;
  };
  const prepared = await weightsPacker.prepare(block, isPacked, lifetime);
  return await library.register(block.layers, { name, isKept, prepared, tenant, usage });
}

function resolve(source: ModelSource, limits: Limits): ResolvedModel {
  if ('layers' in source) return resolveLayers(source.layers, limits);
  const { weights, readout } = source;
  const [D, H] = weights.W_x.shape as [number, number];
  const model = resolveShortForm(weights);
  expectWithinLimits({ D, H }, limits);
  if (!readout) return model;
  const withReadout = resolveShortForm(weights, readout);
  // O may be as large as H may be.
  expectWithinLimits({ H: readout.W_y.shape[1]! }, limits);
  return withReadout;
}
