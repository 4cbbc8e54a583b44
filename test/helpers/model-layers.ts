// Models with their weights in memory, without a service.
import { resolveLayers } from '../../src/engine/layer-sources.ts';
import { readLayers } from '../../src/engine/model-source.ts';
import { layersSource } from '../../src/http/compute/layers.ts';
import type { Layer, LayerSource } from '../../src/layers.ts';

const LIMITS = { D: 4_096, H: 4_096, V: 65_536 };

/** @throws CarryoverError as a registration does */
export function layersOf(sources: readonly LayerSource[]): Layer[] {
  return readLayers(resolveLayers(sources, LIMITS));
}

/** @param layers as POST /v1/models takes them */
export function layersInJson(layers: unknown): Layer[] {
  return layersOf(layersSource({ layers } as Parameters<typeof layersSource>[0]).layers);
}
