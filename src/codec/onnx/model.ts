// The bytes of an ONNX file → its messages. https://onnx.ai/onnx/repo-docs/IR.html
import { fromBinary } from '@bufbuild/protobuf';
import { checkMessage } from './check-message.ts';
import { malformed, notRead } from './errors.ts';
import { type GraphProto, type ModelProto, ModelProtoSchema } from './onnx_pb.ts';
import { expectInFile } from './tensor.ts';

/** The versions of the operators of which the meaning is known. RNN, GRU and LSTM are as they are since 7. */
const OPSET_MIN = 7;
const OPSET_MAX = 26;
/** Names of the domain of ONNX's own operators. */
export const ONNX_DOMAINS: readonly string[] = ['', 'ai.onnx'];
const NODES_MAX = 20_000;

export interface OnnxModel {
  readonly graph: GraphProto;
  /** The version of ONNX's own operators. */
  readonly opset: number;
}

/** @throws malformed_model_file · model_file_unsupported */
export function readModel(bytes: Uint8Array): OnnxModel {
  checkMessage(bytes, ModelProtoSchema);
  const model = fromBinary(ModelProtoSchema, bytes, { readUnknownFields: false });
  const { graph } = model;
  if (!graph || graph.node.length === 0) throw malformed('has no graph, or one without a node');
  if (graph.node.length > NODES_MAX) {
    const found = `has ${graph.node.length} nodes, and at most ${NODES_MAX} are read`;
    throw notRead(found, 'Expected a network of at most 32 layers.');
  }
  expectWhole(model, graph);
  return { graph, opset: opsetOf(model) };
}

function expectWhole({ functions, trainingInfo }: ModelProto, graph: GraphProto): void {
  if (functions.length > 0) {
    throw notRead(
      `has ${functions.length} functions, which are not read`,
      'Expected the nodes themselves. In Python: `import onnx, onnx.inliner; ' +
        'onnx.save(onnx.inliner.inline_local_functions(onnx.load("model.onnx")), "inlined.onnx")`.',
    );
  }
  if (trainingInfo.length > 0) {
    const advice = 'Expected a file for inference: export the module after .eval().';
    throw notRead('has training_info, a graph for training', advice);
  }
  if (graph.sparseInitializer.length > 0) {
    throw notRead('has sparse initializers, which are not read', 'Expected dense tensors.');
  }
  for (const tensor of graph.initializer) expectInFile(tensor, tensor.name);
}

function opsetOf({ opsetImport }: ModelProto): number {
  const versions = opsetImport.filter(({ domain }) => ONNX_DOMAINS.includes(domain)).map(({ version }) => Number(version));
  const [opset] = versions;
  if (opset === undefined) throw malformed('does not say the version of its operators (opset_import)');
  if (versions.some((version) => version !== opset)) throw malformed('says two versions of its operators (opset_import)');
  if (opset < OPSET_MIN || opset > OPSET_MAX) {
    throw notRead(
      `has operators of version ${opset}`,
      `Expected opset ${OPSET_MIN} to ${OPSET_MAX}. In Python: \`import onnx, onnx.version_converter; onnx.save(` +
        'onnx.version_converter.convert_version(onnx.load("model.onnx"), 17), "opset-17.onnx")`.',
    );
  }
  return opset;
}
