// Layers → a packed model in linear memory, for measurements without the service.
import type { Layer } from '../../src/layers.ts';
import type { LinearMemory } from '../../src/wasm/memory.ts';
import { type PackedModel, placeModel } from '../../src/wasm/packed-model.ts';

/** The caller frees the block with `memory.free(model.ptr)`. */
export function packModel(memory: LinearMemory, layers: readonly Layer[]): PackedModel {
  return placeModel(memory, layers);
}
