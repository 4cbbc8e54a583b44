// Where the tensors of layers are in the HDF5 file of a Keras model. Both layouts give them in the order in which the
// layer makes them.
import type { HalfDtype } from '../../../codec/hdf5/dataset.ts';
import type { SafeTensor } from '../../../codec/safetensors/read.ts';
import { fieldOf, isObject } from './json.ts';
import type { KerasLayer } from './keras-layer.ts';

/** A layer, or one of the layers and cells that it is made of. */
export interface Part {
  /** The attributes of the layer under which Keras has it: `cell`, `forward_layer/cell`; empty for the layer itself. */
  readonly path: string;
  /** What its tensors are called, in their order. */
  readonly roles: readonly string[];
  /** How many more it has behind them, which are not read. */
  readonly unread?: number;
}

export interface NamedTensor {
  /** As the file spells it. */
  readonly name: string;
  readonly tensor: SafeTensor;
}

export interface KerasWeights {
  /**
   * The tensors of each part of a layer, in the order of the roles.
   *
   * @throws malformed_model_file · model_file_unsupported if there are fewer or more
   */
  read(layer: KerasLayer, parts: readonly Part[]): NamedTensor[][];
}

/** What numbers of two bytes are in a layer: the name of its policy tells it, in newer files as an object. */
export function halfOf({ config }: KerasLayer): HalfDtype {
  const dtype = fieldOf(config, 'dtype');
  const policy = isObject(dtype) ? fieldOf(dtype, 'config') : undefined;
  const name = isObject(policy) ? fieldOf(policy, 'name') : dtype;
  return name === 'bfloat16' ? 'BF16' : 'F16';
}
