// A model file → its layers with their weights, as a service would register them.
import { readLayers } from '../../engine/model-source.ts';
import { resolveLayers } from '../../engine/layer-sources.ts';
import type { Layer } from '../../layers.ts';
import type { ImportOptions } from '../../models/import/checkpoint.ts';
import { importFile } from '../../models/import-file.ts';
import { modelId } from '../../models/model-id.ts';

export interface ReadModel {
  readonly layers: readonly Layer[];
  /** Which tensors of the file each tensor was made of. */
  readonly origins: Readonly<Record<string, string>>;
  /** What a service does otherwise than the file, in sentences. */
  readonly notes: readonly string[];
  /** The id that the model has in every service. */
  readonly id: string;
}

/** The largest that a service can be set to; the one that registers the model has limits of its own. */
const LIMITS = { D: 65_536, H: 65_536, V: 16_777_216 };

/** @throws CarryoverError as importFile() and resolveLayers() · out_of_range */
export async function readModel(bytes: Uint8Array, options: ImportOptions): Promise<ReadModel> {
  const { layers: sources, tensors, notes = [] } = await importFile(bytes, options);
  const layers = readLayers(resolveLayers(sources, LIMITS));
  return { layers, origins: tensors, notes, id: modelId(layers) };
}
