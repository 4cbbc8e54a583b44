// The weights in model.weights.h5 of a .keras archive: at the path of the layer by classes, not by names, and there by
// numbers.
//
//   layers/lstm/cell/vars/0, 1, 2                            the first LSTM: kernel, recurrent_kernel, bias
//   layers/lstm_1/…                                          the second
//   layers/bidirectional/forward_layer/cell/vars/…           a part of a Bidirectional
//   layers/sequential/layers/dense/vars/…                    a layer of a model among the layers
//
// Keras 2.12 to 2.14 call `layers` `_layer_checkpoint_dependencies`, and until 2.13 count layers with weights twice: the
// second LSTM is lstm_2. There the names are taken in their order.
//
// https://github.com/keras-team/keras/blob/v3.12.0/keras/src/saving/saving_lib.py
import type { Hdf5File } from '../../../codec/hdf5/file.ts';
import { quote } from '../../../codec/safetensors/quote.ts';
import { layerNotRead, malformed } from './errors.ts';
import type { KerasLayer, Place } from './keras-layer.ts';
import { type KerasWeights, type NamedTensor, type Part, halfOf } from './weights.ts';

const LAYERS = 'layers';
const LAYERS_BEFORE_2_15 = '_layer_checkpoint_dependencies';

export class ArchiveWeights implements KerasWeights {
  readonly #file: Hdf5File;

  constructor(file: Hdf5File) {
    this.#file = file;
  }

  read(layer: KerasLayer, parts: readonly Part[]): NamedTensor[][] {
    const path = layer.places.reduce((around, place) => this.#pathIn(around, place), '');
    return parts.map((part) => this.#readPart(layer, [path, part.path, 'vars'].filter((one) => one !== '').join('/'), part));
  }

  #readPart(layer: KerasLayer, path: string, { roles, unread = 0 }: Part): NamedTensor[] {
    const count = this.#file.namesIn(path).length;
    if (count !== roles.length + unread) throw wrongCount(layer, path, count, roles, unread);
    return roles.map((_, k) => {
      const name = `${path}/${k}`;
      return { name, tensor: this.#file.tensor(name, halfOf(layer)) };
    });
  }

  /** @param around the path of the model that it is in */
  #pathIn(around: string, { className, nth }: Place): string {
    const base = snakeCase(className);
    const inModel = (name: string) => (around === '' ? name : `${around}/${name}`);
    const list = inModel(LAYERS);
    if (this.#file.kindOf(list) === 'group') return `${list}/${numbered(base, nth)}`;
    const older = inModel(LAYERS_BEFORE_2_15);
    const names = this.#file.namesIn(older).filter((name) => numberOf(name, base) !== undefined);
    const name = names.toSorted((a, b) => numberOf(a, base)! - numberOf(b, base)!)[nth];
    if (name === undefined) throw malformed(`lacks the weights of the layer ${quote(numbered(base, nth))} in ${quote(list)}`);
    return `${older}/${name}`;
  }
}

const numbered = (base: string, nth: number) => (nth === 0 ? base : `${base}_${nth}`);

/** 0 for `lstm`, 2 for `lstm_2`. */
function numberOf(name: string, base: string): number | undefined {
  if (name === base) return 0;
  const number = name.startsWith(`${base}_`) ? name.slice(base.length + 1) : '';
  return /^[1-9]\d{0,8}$/.test(number) ? Number(number) : undefined;
}

/** `BatchNormalization` → `batch_normalization`, `SimpleRNN` → `simple_rnn` */
function snakeCase(className: string): string {
  const parted = className.replace(/(.)([A-Z][a-z]+)/g, '$1_$2');
  return parted.replace(/([a-z])([A-Z])/g, '$1_$2').toLowerCase();
}

function wrongCount(layer: KerasLayer, path: string, count: number, roles: readonly string[], unread: number) {
  if (count === 0) {
    return layerNotRead(layer, `has no weights at ${quote(path)}; expected a model that was built or trained before it was saved`);
  }
  const expected = `${roles.length + unread}: ${roles.join(', ')}`;
  return layerNotRead(layer, `has ${count} tensors at ${quote(path)}, expected ${expected}, of a layer without quantization`);
}
