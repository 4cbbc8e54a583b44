// The layers of a functional model in the order of its graph, which has to be one path: each layer has one input, the
// output of the one before it. A connection is written
//
//   by Keras 2:  ["lstm", 0, 0, {…}]                          layer, call, output, arguments of the call
//   by Keras 3:  {"args": [tensor], "kwargs": {…}}, where a tensor has "keras_history": ["lstm", 0, 0]
import { quote } from '../../../codec/safetensors/quote.ts';
import { layerNotRead, malformed, notRead } from './errors.ts';
import { type JsonObject, fieldOf, isObject, textOf } from './json.ts';
import type { ListedLayer } from './keras-layer.ts';

/** @throws malformed_model_file · model_file_unsupported */
export function inOrderOfGraph(layers: readonly ListedLayer[], config: JsonObject): ListedLayer[] {
  const byName = new Map(layers.map((layer) => [layer.name, layer]));
  if (byName.size < layers.length) throw malformed('has two layers of the same name in one model');
  const input = onlyEnd(config, 'input_layers', 'input');
  const ordered: ListedLayer[] = [];
  for (let name = onlyEnd(config, 'output_layers', 'output'); ; ) {
    const layer = byName.get(name);
    if (!layer) throw malformed(`has a connection from ${quote(name)}, which is no layer`);
    if (ordered.length === layers.length) throw malformed(`has a circle of layers around ${quote(name)}`);
    ordered.unshift(layer);
    if (name === input) break;
    name = sourceOf(layer);
  }
  const other = layers.find((layer) => !ordered.includes(layer));
  if (other) throw layerNotRead(other, `is beside the one path from ${quote(input)} to the output: ${ONE_PATH}`);
  return ordered;
}

const ONE_PATH = 'expected layers of which each reads the output of the one before it, and nothing else';

/** The layer at the only input or output of a model. */
function onlyEnd(config: JsonObject, field: string, title: string): string {
  const value = fieldOf(config, field);
  const ends = Array.isArray(value) && typeof value[0] === 'string' ? [value] : value;
  if (!Array.isArray(ends) || ends.length !== 1) throw notRead(`has a model with several ${title}s or none, expected one`);
  return firstOutput(ends[0], 'the model');
}

/** @param history [layer, call, output] */
function firstOutput(history: unknown, title: string): string {
  const [name, , output] = Array.isArray(history) ? (history as unknown[]) : [];
  if (typeof name !== 'string') throw malformed('has a connection that names no layer');
  if (output !== 0) throw notRead(`has ${title} read another output of ${quote(name)} than its first, e.g. a state`);
  return name;
}

/** The layer whose output it reads. */
function sourceOf(layer: ListedLayer): string {
  const nodes = layer.inboundNodes;
  if (!Array.isArray(nodes) || nodes.length === 0) throw malformed(`has no connection to its layer ${quote(layer.name)}`);
  if (nodes.length > 1) throw layerNotRead(layer, `is called ${nodes.length} times, expected once: ${ONE_PATH}`);
  const { histories, args } = isObject(nodes[0]) ? ofKeras3(nodes[0]) : ofKeras2(nodes[0]);
  if (fieldOf(args, 'training') === true) {
    throw layerNotRead(layer, 'is called with training=True, as if it were trained; expected a call without it');
  }
  if (histories.length !== 1) throw layerNotRead(layer, `reads ${histories.length} tensors, expected one: ${ONE_PATH}`);
  return firstOutput(histories[0], `layer ${quote(layer.name)}`);
}

interface Call {
  readonly histories: readonly unknown[];
  readonly args: JsonObject;
}

function ofKeras2(node: unknown): Call {
  const tensors: unknown[] = Array.isArray(node) ? (typeof node[0] === 'string' ? [node] : node) : [];
  const [, , , args] = Array.isArray(tensors[0]) ? (tensors[0] as unknown[]) : [];
  const known = isObject(args) ? args : {};
  // A state is given as further tensors, or by their layers in the arguments.
  const hasState = fieldOf(known, 'initial_state') != null;
  return { histories: hasState ? [...tensors, fieldOf(known, 'initial_state')] : tensors, args: known };
}

function ofKeras3(node: JsonObject): Call {
  const args = fieldOf(node, 'kwargs');
  return { histories: historiesIn(node), args: isObject(args) ? args : {} };
}

/** Of all tensors anywhere in a value, found without recursion: it may be of any depth. */
function historiesIn(value: unknown): unknown[] {
  const histories: unknown[] = [];
  for (const left = [value]; left.length > 0; ) {
    const next = left.pop();
    if (Array.isArray(next)) for (const item of next as unknown[]) left.push(item);
    if (!isObject(next)) continue;
    if (textOf(next, 'class_name') === '__keras_tensor__') {
      const config = fieldOf(next, 'config');
      histories.push(isObject(config) ? fieldOf(config, 'keras_history') : undefined);
    } else {
      for (const item of Object.values(next)) left.push(item);
    }
  }
  return histories;
}
