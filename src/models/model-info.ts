// What is told of a registered model.
import { type LayerSpec, modelSizes, shortFormOf } from '../layers.ts';
import { ACTIVATION } from './import/activation.ts';
import type { PackedWeights } from './packed-weights.ts';

export interface ModelInfo {
  readonly id: string;
  /** All names that point to it, oldest first, as the registry has them; see tenant-names.ts. */
  readonly names: readonly string[];
  /** D, H and O as modelSizes(); O is absent if no layer is behind the last recurrent one. */
  readonly D: number;
  readonly H: number;
  readonly O?: number;
  /** Of a model in the short form: f in h_t = f(z_t). */
  readonly activation?: typeof ACTIVATION;
  /** Of any other model. */
  readonly layers?: readonly LayerSpec[];
  /** Of the packed weights in memory. */
  readonly bytes: number;
  readonly created_at: string;
}

export interface DescribedModel {
  readonly packed: Pick<PackedWeights, 'id' | 'model' | 'bytes'>;
  readonly createdAt: Date;
  /** Oldest first. */
  readonly names: Iterable<string>;
}

export function modelInfo({ packed, createdAt, names }: DescribedModel): ModelInfo {
  const { layers } = packed.model;
  const { D, H, O } = modelSizes(layers);
  return {
    id: packed.id,
    names: [...names],
    D,
    H,
    ...(O > 0 && { O }),
    ...(shortFormOf(layers) ? { activation: ACTIVATION } : { layers }),
    bytes: packed.bytes,
    created_at: createdAt.toISOString(),
  };
}
