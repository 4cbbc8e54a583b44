// A model as it is registered: as JSON, or, with typed tensors, as a safetensors file.
//
// In a file the tensors of layer k are layers.k.W_x …, of its reverse direction layers.k.backward.W_x …; what is no tensor is
// the description of the layers, JSON in the metadata field carryover.layers.
import { jsonText } from './json.ts';
import { writeTensorFile } from './safetensors.ts';
import { Tensor } from './tensor.ts';
import { type Body, FILE_TYPE, JSON_TYPE } from './transport.ts';
import type { Layer, Layers, Readout, Weights } from './weights.ts';

/** A model: its layers, or in the short form the weights of one tanh layer and, if it has one, its readout. */
export type ModelDescription = Layers | { readonly weights: Weights; readonly readout?: Readout };

/** @throws RangeError · TypeError as Tensor.from() */
export function modelBody(model: ModelDescription): Body {
  if (!hasTensor(model)) return { type: JSON_TYPE, data: jsonText(model) };
  const data = 'layers' in model ? layersFile(model.layers) : writeTensorFile({ ...tensorsIn(model.weights), ...tensorsIn(model.readout) }, {});
  return { type: FILE_TYPE, data };
}

function layersFile(layers: readonly Layer[]): Uint8Array<ArrayBuffer> {
  const tensors = layers.map((layer, k) => tensorsIn(layer, `layers.${k}.`));
  const description = layers.map((layer) => Object.fromEntries(Object.entries(layer).filter(([, value]) => typeof value === 'string')));
  return writeTensorFile(Object.assign({}, ...tensors) as Record<string, Tensor>, { 'carryover.layers': JSON.stringify(description) });
}

/** The tensors of a layer, and of what is in it, by their names. */
function tensorsIn(layer: object | undefined, prefix = ''): Record<string, Tensor> {
  const tensors: Record<string, Tensor> = {};
  for (const [name, value] of Object.entries(layer ?? {})) {
    if (value instanceof Tensor || Array.isArray(value)) tensors[prefix + name] = Tensor.from(value);
    else if (typeof value === 'object' && value !== null) Object.assign(tensors, tensorsIn(value as object, `${prefix}${name}.`));
  }
  return tensors;
}

function hasTensor(value: unknown): boolean {
  if (value instanceof Tensor) return true;
  if (Array.isArray(value)) return typeof value[0] === 'object' && !Array.isArray(value[0]) && value.some(hasTensor);
  return typeof value === 'object' && value !== null && Object.values(value).some(hasTensor);
}
