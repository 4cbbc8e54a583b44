// The description of a model in a Keras file → its layers, in the order in which they are computed. Models among them
// are replaced by their own layers.
import { quoteValue } from '../../../codec/safetensors/quote.ts';
import { layerNotRead, malformed, notRead } from './errors.ts';
import { inOrderOfGraph } from './graph.ts';
import { type JsonObject, fieldOf, isObject, textOf } from './json.ts';
import type { KerasLayer, ListedLayer, Place } from './keras-layer.ts';

const LAYERS_MAX = 1_024;
const MODELS_DEPTH_MAX = 8;
/** `Model` is that of Keras before 2.3. */
const FUNCTIONAL = ['Functional', 'Model'];
const OURS = /^(?:keras|tf_keras|tensorflow\.(?:python\.)?keras)(?:\.|$)/;

/**
 * @param model its class and its config, as in config.json and in the attribute model_config
 * @throws malformed_model_file · model_file_unsupported
 */
export function layersOf(model: JsonObject): KerasLayer[] {
  const className = textOf(model, 'class_name');
  if (className === undefined) throw malformed('describes no model: its description has no class_name');
  if (!isModel(className) || isCustom(model)) {
    throw notRead(
      `has a model of class ${quoteValue(className)}, which is described by its code alone; expected Sequential or a ` +
        'functional model, keras.Model(inputs, outputs)',
    );
  }
  const layers: KerasLayer[] = [];
  addLayers(layers, className, fieldOf(model, 'config'), []);
  return layers;
}

const isModel = (className: string) => className === 'Sequential' || FUNCTIONAL.includes(className);

function addLayers(to: KerasLayer[], className: string, config: unknown, around: readonly Place[]): void {
  const listed = listOf(config);
  const layers = className === 'Sequential' ? listed : inOrderOfGraph(listed, config as JsonObject);
  for (const { config: own, inboundNodes: _, ...place } of layers) {
    const places = [...around, place];
    if (isModel(place.className)) {
      if (places.length > MODELS_DEPTH_MAX) throw notRead(`has models in models, more than ${MODELS_DEPTH_MAX} deep`);
      addLayers(to, place.className, own, places);
      continue;
    }
    if (!isObject(own)) throw malformed(`has no config of its layer ${quoteValue(place.name)}`);
    to.push({ ...place, config: own, places });
    if (to.length > LAYERS_MAX) throw notRead(`has more than ${LAYERS_MAX} layers`);
  }
}

/** Of a Sequential before Keras 2.2.3, the config is the list. */
function listOf(config: unknown): ListedLayer[] {
  const list = isObject(config) ? fieldOf(config, 'layers') : config;
  if (!Array.isArray(list)) throw malformed('has a model without a list of layers');
  if (list.length > LAYERS_MAX) throw notRead(`has ${list.length} layers in one model, at most ${LAYERS_MAX} are read`);
  const counts = new Map<string, number>();
  return list.map((item: unknown) => {
    const className = isObject(item) ? textOf(item, 'class_name') : undefined;
    if (!isObject(item) || className === undefined) throw malformed('has a layer without a class_name');
    const own = fieldOf(item, 'config');
    const name = textOf(item, 'name') ?? (isObject(own) ? textOf(own, 'name') : undefined) ?? '';
    const nth = counts.get(className) ?? 0;
    counts.set(className, nth + 1);
    if (isCustom(item)) throw layerNotRead({ name, className }, 'is of a class of its own code, expected a layer of Keras');
    return { className, name, nth, config: own, inboundNodes: fieldOf(item, 'inbound_nodes') };
  });
}

/** A class of the user's may have the name of one of Keras'. */
function isCustom(item: JsonObject): boolean {
  const module = textOf(item, 'module');
  return module !== undefined && !OURS.test(module);
}
