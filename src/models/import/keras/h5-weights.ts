// The weights of a whole model in one HDF5 file (.h5): a group for each layer by its name, with the list of its tensors.
//
//   model_weights/lstm                               attribute weight_names: lstm/lstm_cell/kernel:0, …
//   model_weights/lstm/lstm/lstm_cell/kernel:0       without `:0` in Keras 3
//
// A list that is too long for one attribute is in several: weight_names0, weight_names1, …
//
// https://github.com/keras-team/keras/blob/v3.12.0/keras/src/legacy/saving/legacy_h5_format.py
import type { Hdf5File } from '../../../codec/hdf5/file.ts';
import { quote } from '../../../codec/safetensors/quote.ts';
import { layerNotRead, malformed } from './errors.ts';
import type { KerasLayer } from './keras-layer.ts';
import { type KerasWeights, type NamedTensor, type Part, halfOf } from './weights.ts';

const GROUP = 'model_weights';
const LIST = 'weight_names';
const LISTS_MAX = 64;

/** Names that tell what a tensor is, wherever they are in Keras. */
const ROLES = [
  'kernel', 'recurrent_kernel', 'bias', 'embeddings', 'gamma', 'beta', 'moving_mean', 'moving_variance', 'mean', 'variance',
];

export class H5Weights implements KerasWeights {
  readonly #file: Hdf5File;

  constructor(file: Hdf5File) {
    this.#file = file;
  }

  read(layer: KerasLayer, parts: readonly Part[]): NamedTensor[][] {
    const group = `${GROUP}/${layer.places[0]!.name}`;
    const names = this.#namesOf(group, layer);
    const expected = parts.reduce((sum, { roles, unread = 0 }) => sum + roles.length + unread, 0);
    if (names.length !== expected) throw wrongCount(layer, names, parts, expected);
    let next = 0;
    return parts.map(({ path, roles, unread = 0 }) => {
      const tensors = roles.map((role, k) => {
        const name = names[next + k]!;
        expectMeaning(layer, name, role, path);
        const tensor = this.#file.tensor(`${group}/${name}`, halfOf(layer));
        return { name, tensor };
      });
      next += roles.length + unread;
      return tensors;
    });
  }

  /** Of a layer of a model among the layers, those with its name in their paths: they are listed with all of the model's. */
  #namesOf(group: string, layer: KerasLayer): readonly string[] {
    if (this.#file.kindOf(group) !== 'group') throw malformed(`lacks the weights of its layer ${quote(layer.places[0]!.name)}`);
    const names = this.#listOf(group);
    if (layer.places.length === 1) return names;
    return names.filter((name) => name.split('/').slice(0, -1).includes(layer.name));
  }

  #listOf(group: string): readonly string[] {
    const whole = this.#file.texts(group, LIST);
    if (whole) return whole;
    const names: string[] = [];
    for (let k = 0; k < LISTS_MAX; k++) {
      const part = this.#file.texts(group, `${LIST}${k}`);
      if (!part) break;
      names.push(...part);
    }
    return names;
  }
}

/** Keras goes by the order alone; a name that tells another meaning is of a file that something else wrote. */
function expectMeaning(layer: KerasLayer, name: string, role: string, path: string): void {
  const leaf = name.slice(name.lastIndexOf('/') + 1).replace(/:\d{1,9}$/, '');
  const direction = /(?:^|\/)(forward|backward)_/.exec(name)?.[1];
  const isOther = ROLES.includes(leaf) && leaf !== role;
  const isOfOther = direction !== undefined && /^(?:forward|backward)_/.test(path) && !path.startsWith(direction);
  if (isOther || isOfOther) {
    throw malformed(`lists the tensor ${quote(name)} of layer ${quote(layer.name)} where its ${role} is expected`);
  }
}

function wrongCount(layer: KerasLayer, names: readonly string[], parts: readonly Part[], expected: number) {
  const roles = parts.flatMap((part) => part.roles).join(', ');
  const found = names.length === 0 ? 'no tensors' : `${names.length} tensors, ${names.slice(0, 3).map(quote).join(', ')} …`;
  const advice = layer.places.length > 1 ? '; as a .keras archive, models in models are read by their places' : '';
  return layerNotRead(layer, `has ${found} in the file; expected ${expected}: ${roles}${advice}`);
}
