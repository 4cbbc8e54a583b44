// A Keras file → its layers: a .keras archive, or a whole model in HDF5 (.h5).
//
//   config.json         the description of the model, of an archive
//   model.weights.h5    its weights (archive-weights.ts)
//
//   attribute model_config, group model_weights    the same in a .h5 (h5-weights.ts)
import { Hdf5File } from '../../../codec/hdf5/file.ts';
import { isHdf5 } from '../../../codec/safetensors/file-signatures.ts';
import { readInflatedEntries } from '../../../codec/zip/inflated-entries.ts';
import type { FoundFile } from '../found-file.ts';
import { ArchiveWeights } from './archive-weights.ts';
import { malformed, notRead } from './errors.ts';
import { H5Weights } from './h5-weights.ts';
import { parseObject } from './json.ts';
import { foundLayers } from './layers.ts';
import { layersOf } from './model-config.ts';

const CONFIG = 'config.json';
const WEIGHTS = 'model.weights.h5';
/** Of what is inflated, by the size of the file, and what is free: weights hardly compress, descriptions do. */
const INFLATED_TIMES_MAX = 4;
const INFLATED_BYTES_FREE = 2 ** 20;

/**
 * @param bytesMax of all that is inflated, and of the tensors
 * @throws malformed_model_file · model_file_unsupported
 */
export function readKeras(
  bytes: Uint8Array,
  bytesMax = INFLATED_TIMES_MAX * bytes.length + INFLATED_BYTES_FREE,
): Promise<FoundFile> {
  return isHdf5(bytes) ? readWholeModel(bytes, bytesMax) : readArchive(bytes, bytesMax);
}

async function readArchive(bytes: Uint8Array, bytesMax: number): Promise<FoundFile> {
  const entries = await readInflatedEntries(bytes, [CONFIG, WEIGHTS], bytesMax);
  const [config, weights] = [entries.get(CONFIG), entries.get(WEIGHTS)];
  if (!config || !weights) throw malformed(`lacks its ${config ? WEIGHTS : CONFIG}`);
  const layers = layersOf(parseObject(Buffer.from(config).toString(), CONFIG));
  using file = await Hdf5File.open(weights, bytesMax);
  return foundLayers(layers, new ArchiveWeights(file));
}

async function readWholeModel(bytes: Uint8Array, bytesMax: number): Promise<FoundFile> {
  using file = await Hdf5File.open(bytes, bytesMax);
  const [config] = file.texts('', 'model_config') ?? [];
  if (config === undefined) {
    throw notRead(
      'has weights alone, or is no model of Keras: its attribute model_config is missing; expected a whole model, as ' +
        'model.save("model.keras") writes it',
    );
  }
  return foundLayers(layersOf(parseObject(config, 'the attribute model_config')), new H5Weights(file));
}
