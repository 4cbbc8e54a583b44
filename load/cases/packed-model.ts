// Weights → packed panels in linear memory, for measurements without the service.
import type { Weights } from '../../src/tensor.ts';
import type { PackedModel } from '../../src/wasm/job.ts';
import type { LinearMemory } from '../../src/wasm/memory.ts';
import { packPanels, panelsBytes } from '../../src/wasm/panels.ts';

/** The caller frees the panels with `memory.free(model.panelsPtr)`. */
export function packModel(memory: LinearMemory, weights: Weights): PackedModel {
  const { D, H } = weights;
  const bytes = panelsBytes(D, H);
  const panelsPtr = memory.allocate(bytes);
  packPanels(weights, memory.f32(panelsPtr, bytes / Float32Array.BYTES_PER_ELEMENT));
  return { D, H, panelsPtr };
}
