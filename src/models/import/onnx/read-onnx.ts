// An ONNX file → its layers. The values of its graph are followed from the inputs to the outputs (graph.ts): constants
// are computed, and of what x becomes, the layers that it has passed and the order of its axes. So any nodes that only
// move axes may stand between layers, and all that is no single path of layers is refused with the node's name.
import { notRead } from '../../../codec/onnx/errors.ts';
import { readModel } from '../../../codec/onnx/model.ts';
import type { FoundFile } from '../found-file.ts';
import type { FoundAffine, FoundLayer } from '../layer.ts';
import { evaluate } from './graph.ts';
import { notesOn } from './notes.ts';
import { backwards, pathOfOutputs } from './outputs.ts';
import { type Affine, type PathLayer, endsRecurrent } from './value.ts';

/**
 * The layers of a file, and what this service does otherwise.
 *
 * @throws malformed_model_file · model_file_unsupported
 */
export function readOnnx(bytes: Uint8Array): FoundFile {
  const outputs = evaluate(readModel(bytes));
  const path = pathOfOutputs(outputs);
  const paths = backwards(path).toReversed();
  if (!paths.some(endsRecurrent)) {
    throw notRead('has no RNN, GRU or LSTM on the path to its outputs', 'Expected at least one of them.');
  }
  return { layers: paths.flatMap(({ layer }) => (layer ? [foundLayer(layer)] : [])), notes: notesOn(path, outputs) };
}

function foundLayer(layer: PathLayer): FoundLayer {
  return layer.type === 'affine' ? foundAffine(layer) : layer;
}

function foundAffine({ scale, offset, scaleNames, offsetNames }: Affine): FoundAffine {
  const tensor = (names: readonly string[], absent: string, data: Float64Array) => ({
    name: names.length > 0 ? names.join(', ') : absent,
    tensor: { dtype: 'F64' as const, shape: [data.length], data },
    axes: ['D'],
  });
  return {
    type: 'affine',
    scale: tensor(scaleNames, '1', scale),
    offset: tensor(offsetNames, '0', offset ?? new Float64Array(scale.length)),
  };
}
