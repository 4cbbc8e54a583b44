// The values of a graph, from its inputs to its outputs: of the nodes that the outputs need. Every name is made once,
// and before it is read, so the nodes are in their order and no circle is there.
import { malformed, notRead } from '../../../codec/onnx/errors.ts';
import { type OnnxModel, ONNX_DOMAINS } from '../../../codec/onnx/model.ts';
import type { GraphProto, NodeProto, ValueInfoProto } from '../../../codec/onnx/onnx_pb.ts';
import { FLOAT_TYPES, readTensor } from '../../../codec/onnx/tensor.ts';
import { quote } from '../../../codec/safetensors/quote.ts';
import { Budget } from './constants.ts';
import { GraphNode } from './node.ts';
import { operate } from './operators.ts';
import { openSize } from './size.ts';
import { type Axis, type Signal, type Value, FEATURES, constant } from './value.ts';

/** TensorProto.DataType */
const FLOAT = 1;
/** More than any input has. */
const RANK_MAX = 8;
/** More than all layers have. */
const OUTPUTS_MAX = 256;

export interface GraphOutput {
  readonly name: string;
  readonly value: Value;
}

/**
 * What the outputs of a graph are.
 *
 * @throws malformed_model_file · model_file_unsupported
 */
export function evaluate({ graph, opset }: OnnxModel): GraphOutput[] {
  const values = new Map<string, Value>();
  const given = givenValues(graph);
  const read = (name: string): Value => {
    const value = values.get(name) ?? given(name);
    values.set(name, value);
    return value;
  };
  const budget = new Budget();
  for (const proto of neededNodes(graph)) {
    const inputs = proto.input.map((name) => (name === '' ? undefined : read(name)));
    const node = new GraphNode(proto, { inputs, opset, budget });
    const made = operate(node, ONNX_DOMAINS.includes(proto.domain) ? undefined : proto.domain);
    for (const [i, name] of proto.output.entries()) if (made[i]) values.set(name, made[i]);
  }
  return graph.output.map(({ name }) => ({ name, value: read(name) }));
}

/** @throws malformed_model_file if a name is made twice, or not before it is read */
function neededNodes(graph: GraphProto): NodeProto[] {
  const makers = makersOf(graph);
  const needed = new Set<number>();
  const need = (name: string, before: number) => {
    const maker = makers.get(name);
    if (maker === undefined) throw malformed(`reads ${quote(name)}, which no node makes, and which is no input`);
    if (maker >= before) throw malformed(`reads ${quote(name)} before a node makes it, expected the nodes in their order`);
    needed.add(maker);
  };
  const outputs = graph.output.length;
  if (outputs === 0) throw malformed('has no outputs');
  if (outputs > OUTPUTS_MAX) throw notRead(`has ${outputs} outputs`, `Expected at most ${OUTPUTS_MAX}.`);
  for (const { name } of graph.output) need(name, graph.node.length);
  for (let i = graph.node.length - 1; i >= 0; i--) {
    if (needed.has(i)) for (const name of graph.node[i]!.input) if (name !== '') need(name, i);
  }
  return graph.node.filter((_, i) => needed.has(i));
}

/** By each name, which node makes it; -1 of inputs and initializers. */
function makersOf({ input, initializer, node }: GraphProto): Map<string, number> {
  const makers = new Map<string, number>();
  const add = (name: string, maker: number) => {
    if (makers.has(name)) throw malformed(`makes ${quote(name)} twice`);
    makers.set(name, maker);
  };
  // Up to version 3 of the format, initializers are inputs too.
  const initializers = new Set(initializer.map(({ name }) => name));
  for (const { name } of initializer) add(name, -1);
  for (const { name } of input) if (!initializers.has(name)) add(name, -1);
  for (const [i, { output }] of node.entries()) for (const name of output) if (name !== '') add(name, i);
  return makers;
}

/** Reads an initializer or an input when it is needed. */
function givenValues({ input, initializer }: GraphProto): (name: string) => Value {
  const tensors = new Map(initializer.map((tensor) => [tensor.name, tensor]));
  const inputs = new Map(input.map((info) => [info.name, info]));
  return (name) => {
    const tensor = tensors.get(name);
    const info = inputs.get(name);
    if (tensor) {
      const { shape, numbers, isInteger } = readTensor(tensor, name);
      return constant(shape, numbers, { isInteger, name });
    }
    if (info) return readInput(info);
    throw malformed(`reads ${quote(name)}, an output that its node does not have`);
  };
}

function readInput({ name, type }: ValueInfoProto): Signal {
  const { elemType = FLOAT, shape } = type?.tensorType ?? {};
  if (!shape) throw malformed(`does not say the shape of its input ${quote(name)}`);
  if (shape.dim.length > RANK_MAX) throw malformed(`has the input ${quote(name)} with ${shape.dim.length} axes`);
  const isInteger = !FLOAT_TYPES.has(elemType);
  const axes = shape.dim.map(({ value }, i): Axis => {
    const isFeatures = !isInteger && i === shape.dim.length - 1;
    const known = value.case === 'dimValue' && value.value > 0n ? Number(value.value) : undefined;
    // An axis of size 1 may be removed, and put elsewhere.
    if (known === 1 && !isFeatures) return [];
    const id = `${quote(name).slice(1, -1)}[${i}]`;
    return [{ id: isFeatures ? FEATURES : id, size: known ?? openSize(id) }];
  });
  const features = isInteger ? undefined : axes.at(-1)?.[0]?.size;
  return { kind: 'signal', path: { input: { name, isInteger }, depth: 0, features }, axes, moment: 'steps' };
}
