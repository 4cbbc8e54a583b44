// A registered model as one file in the store: safetensors in float32. A model in the short form has the names of
// carryover-names.ts; any other has those of wasm/layer-tensors.ts, and the description of its layers in the metadata.
import { readSafetensorsFile } from '../codec/safetensors/read.ts';
import { writeSafetensorsInSlices } from '../codec/safetensors/write.ts';
import { CarryoverError } from '../errors.ts';
import { type Layer, type LayerSpec, shortFormOf, tanhSpecs } from '../layers.ts';
import type { TensorView } from '../tensor.ts';
import { SHORT_NAMES, countOf, describeLayers, layersWith, tensorsOf } from '../wasm/layer-tensors.ts';
import { LAYERS_FIELD } from './model-file.ts';
import { modelIdInSlices } from './model-id.ts';

/** Writes in slices, between which the event loop runs. The result shares no memory with the weights. */
export function writeStoredFile(layers: readonly Layer[]): Promise<Buffer> {
  const isShort = shortFormOf(layers) !== undefined;
  const nameOf = (name: string) => (isShort ? SHORT_NAMES[name]! : name);
  const entries = tensorsOf(layers).map(({ name, shape, data }) => [nameOf(name), view(shape, data)]);
  const metadata = isShort ? undefined : { [LAYERS_FIELD]: describeLayers(layers) };
  return writeSafetensorsInSlices(Object.fromEntries(entries), metadata);
}

/**
 * Reads the model of a file and checks its digest, in slices as writeStoredFile(). The weights may share memory with
 * the file.
 *
 * @throws model_corrupt if the file is damaged or has a model with another id
 */
export async function readStoredFile(id: string, file: Uint8Array): Promise<readonly Layer[]> {
  try {
    return await readIntact(id, file);
  } catch (cause) {
    // The server wrote the file, so its damage is never reported as an error of the request.
    throw new CarryoverError('model_corrupt', {
      detail: `The stored file of model ${id} is damaged (${(cause as Error).message}); it is not served.`,
      cause,
    });
  }
}

async function readIntact(id: string, file: Uint8Array): Promise<readonly Layer[]> {
  const { tensors, metadata } = readSafetensorsFile(file, () => true);
  const description = metadata[LAYERS_FIELD];
  const specs = description === undefined ? shortSpecs(tensors) : (JSON.parse(description) as LayerSpec[]);
  const layers = layersWith(specs, (name, shape) => {
    const numbers = tensors.get(description === undefined ? SHORT_NAMES[name]! : name)?.data;
    if (numbers instanceof Float32Array && numbers.length === countOf(shape)) return numbers;
    throw new Error(`its tensor ${name} is missing or of another size`);
  });
  const found = await modelIdInSlices(layers);
  if (found !== id) throw new Error('its weights have another digest');
  return layers;
}

function shortSpecs(tensors: ReadonlyMap<string, { readonly shape: readonly number[] }>): LayerSpec[] {
  const [D = 0, H = 0] = tensors.get('W_x')?.shape ?? [];
  return tanhSpecs({ D, H, O: tensors.get('W_y')?.shape[1] ?? 0 });
}

function view(shape: readonly number[], data: Float32Array): TensorView {
  const strides = shape.length === 1 ? [1] : [shape[1]!, 1];
  return { shape, strides, data };
}
