// For each row of the table of what is refused of ONNX: files, and the reason.
import { bytes, message, number } from '../../../../load/peers/protobuf.ts';
import { type Attribute, INT64 } from '../../../helpers/onnx-files.ts';
import { type GraphOptions, type RecurrentJson, type RecurrentOptions, OnnxGraph } from '../../../helpers/onnx-graph.ts';
import { D, both, dense, gru, lstm, rnn } from './small-layers.ts';

export interface RefusedCase {
  readonly file: Uint8Array;
  /** In the detail. */
  readonly part: string;
}

/** @param build the nodes between x (T, N, D) and the outputs */
function refused(
  part: string,
  build: (graph: OnnxGraph, x: string) => string | readonly string[],
  options: GraphOptions & { readonly more?: readonly Uint8Array[] } = {},
): RefusedCase {
  const graph = new OnnxGraph(options);
  const outputs = build(graph, graph.x(D));
  const { more } = options;
  return { part, file: graph.write(typeof outputs === 'string' ? [outputs] : outputs, more && { more }) };
}

const layer = (part: string, cell: RecurrentJson, options: (graph: OnnxGraph, x: string) => RecurrentOptions) =>
  refused(part, (graph, x) => graph.recurrent(cell, x, options(graph, x))[0]!);
const attribute = (part: string, cell: RecurrentJson, name: string, value: Attribute) =>
  layer(part, cell, () => ({ attributes: { [name]: value } }));

/** One node behind an lstm of (T, N, D). */
const behind = (
  part: string,
  op: string,
  attributes: Readonly<Record<string, Attribute>> = {},
  more: (graph: OnnxGraph) => readonly string[] = () => [],
  options: GraphOptions = {},
) => refused(part, (graph, x) => graph.node(op, [graph.layer(lstm(), x), ...more(graph)], attributes), options);

const matrix = (graph: OnnxGraph) => [graph.floats([D, D], [1, 2, 3, 4])];

const OTHER_OPERATORS = ['Conv', 'LayerNormalization', 'Attention', 'Pow', 'ReduceMean', 'ArgMax', 'LogSoftmax', 'MaxPool'];

/** ModelProto.functions, training_info; GraphProto.sparse_initializer is in another place. */
const modelField = (field: number) => [bytes(field, message(bytes(1, 'f')))];

function externalData(): RefusedCase {
  const tensor = message(number(1, D), number(2, 1), bytes(8, 'elsewhere'), number(14, 1));
  return refused('"elsewhere" in another file', (graph, x) =>
    graph.node('Add', [graph.layer(lstm(), x), graph.initializer(tensor, 'elsewhere')]),
  );
}

const oneStepOf = (cell: RecurrentJson) => (graph: OnnxGraph, x: string) =>
  graph.layer(gru(), graph.node('Slice', [graph.layer(cell, x), graph.integers([-1]), graph.integers([2 ** 40])]));

export const REFUSED: Readonly<Record<string, readonly RefusedCase[]>> = {
  'other `activations`': [
    attribute('whose activations are "HardSigmoid", "Tanh". Expected Sigmoid, Tanh', gru(), 'activations', { strings: ['HardSigmoid', 'Tanh'] }),
    attribute('Expected Tanh or Relu, the same in both directions', both(rnn(), rnn()), 'activations', { strings: ['Tanh', 'Relu'] }),
    attribute('"Tanh", "Tanh", "Tanh"', lstm(), 'activations', { strings: ['Tanh', 'Tanh', 'Tanh'] }),
  ],
  '`clip`': [attribute('which clips its sums at 3', lstm(), 'clip', { f: 3 })],
  '`input_forget`, peepholes `P`': [
    attribute('input_forget', lstm(), 'input_forget', { i: 1 }),
    layer('peepholes', lstm(), (graph) => ({ inputs: ['', '', '', graph.floats([1, 3 * D], [1, 2, 3, 4, 5, 6])] })),
  ],
  '`initial_h`, `initial_c` of other constants, or computed': [
    layer('whose initial_h is a constant that is not zero', rnn(), (graph) => ({ inputs: ['', graph.floats([1, 1, D], [0, 1])] })),
    refused('whose initial_c is computed by the graph', (graph, x) => {
      const [Y, Y_h] = graph.recurrent(gru(), x) as [string, string];
      return graph.recurrent(lstm(), graph.steps(Y), { inputs: ['', '', Y_h] });
    }),
    refused('whose initial state is x', (graph, x) => graph.recurrent(rnn(), x, { inputs: ['', x] })[0]!),
    refused('whose initial state is row 1 of "h"', (graph, x) => {
      const h = graph.input({ name: 'h', shape: [2, 'N', D] });
      const row = (k: number) => ({ inputs: ['', graph.node('Gather', [h, graph.integers([k])])] });
      return graph.steps(graph.recurrent(rnn(), graph.steps(graph.recurrent(rnn(), x, row(1))[0]!), row(0))[0]!);
    }),
  ],
  '`sequence_lens` that are computed, or not of all layers': [
    layer('whose sequence_lens are computed', gru(), (graph) => ({ inputs: [graph.integers([1, 2])] })),
    refused('whose sequence_lens are not those', (graph, x) => {
      const inputs = [graph.input({ name: 'n', shape: ['N'], type: INT64 })];
      return graph.layer(gru(), graph.steps(graph.recurrent(lstm(), x, { inputs })[0]!));
    }),
  ],
  'one step in front of a recurrent layer': [
    refused('which reads one step of the layer before', oneStepOf(lstm())),
    refused('which reads one step of the layer before', (graph, x) => graph.layer(gru(), graph.recurrent(lstm(), x)[1]!)),
  ],
  'other parts of the steps, or of x': [
    behind('which takes 1 to 3', 'Slice', {}, (graph) => [graph.integers([1]), graph.integers([3])]),
    behind('in steps of -1', 'Slice', {}, (graph) => [-1, -(2 ** 40), 0, -1].map((value) => graph.integers([value]))),
    refused('which takes a part of axis 0', (graph, x) => graph.layer(lstm(), graph.node('Gather', [x, graph.integers([0])]))),
  ],
  'one direction of two, or `Y_c`, in front of a layer': [
    refused('which reads one direction', (graph, x) => {
      const [Y] = graph.recurrent(both(lstm(), lstm()), x) as [string];
      return graph.dense(dense(), graph.node('Gather', [Y, graph.integers([1], [])], { axis: { i: 1 } }));
    }),
    refused('which reads the cell state (Y_c)', (graph, x) => graph.dense(dense(), graph.recurrent(lstm(), x)[2]!)),
  ],
  'paths that part or meet: residual `Add`, `Mul` of gates, `Concat`': [
    refused('(Add), which joins two values that both depend on x', (graph, x) => graph.node('Add', [x, graph.layer(lstm(), x)])),
    refused('(Concat), which joins two values', (graph, x) =>
      graph.node('Concat', [graph.layer(lstm(), x), graph.layer(gru(), x)], { axis: { i: 2 } }),
    ),
    refused('part at node', (graph, x) => [graph.layer(lstm(), x), graph.layer(gru(), x)]),
    refused('differ by what follows node', (graph, x) => {
      const sums = graph.node('MatMul', [graph.layer(lstm(), x), ...matrix(graph)]);
      return [sums, graph.node('Softmax', [sums])];
    }),
  ],
  'weights that are computed or inputs': [
    behind('(MatMul), whose weights depend on an input', 'MatMul', {}, (graph) => [graph.input({ name: 'W', shape: [D, D] })]),
  ],
  '`Gemm` with `alpha`, `beta` or `transA`': [
    ...(['alpha', 'beta'] as const).map((name) =>
      refused(`whose ${name} is 2`, (graph, x) => {
        const rows = graph.node('Reshape', [graph.layer(lstm(), x), graph.integers([-1, D])]);
        return graph.node('Gemm', [rows, ...matrix(graph)], { [name]: { f: 2 } });
      }),
    ),
    behind('transA', 'Gemm', { transA: { i: 1 } }, matrix),
  ],
  '`Softmax`, `BatchNormalization` over other axes than the features': [
    behind('which is over axis 0', 'Softmax', { axis: { i: 0 } }),
    behind('which is over axis 1', 'Softmax', {}, () => [], { opset: 12 }),
    behind('over other axes', 'BatchNormalization', {}, (graph) => Array.from({ length: 4 }, () => graph.floats([D], [1, 1]))),
  ],
  'axes of steps, rows and features that are mixed': [
    refused('which makes (2, -1)', (graph, x) => graph.node('Reshape', [graph.layer(lstm(), x), graph.integers([2, -1])])),
    refused('whose X has the axes (2, x[0], x[1])', (graph, x) =>
      graph.layer(lstm(), graph.node('Transpose', [graph.layer(lstm(), x)], { perm: { ints: [2, 0, 1] } })),
    ),
    refused('whose steps are the rows of a recurrent layer before', (graph, x) =>
      graph.layer(lstm(), graph.node('Transpose', [graph.layer(lstm(), x)], { perm: { ints: [1, 0, 2] } })),
    ),
  ],
  'all other operators': [
    ...OTHER_OPERATORS.map((op) => behind(`(${op}), which is not computed. Expected `, op)),
    behind('a network without LayerNorm, which is made of such nodes', 'ReduceMean'),
  ],
  '`ReverseSequence`': [behind('(ReverseSequence), which reverses the steps', 'ReverseSequence')],
  '`If`, `Loop`, `Scan`': [behind('(If), which has a graph of its own', 'If', { then_branch: { g: message() } }), behind('(Loop), which', 'Loop')],
  'quantized operators and types': [
    behind('(QLinearMatMul), which is of a quantized model', 'QLinearMatMul'),
    behind('(DequantizeLinear), which is of a quantized model', 'DequantizeLinear'),
    behind('of int8', 'Add', {}, (graph) => [graph.initializer(message(number(1, D), number(2, 3), bytes(8, 'w'), bytes(9, 'ab')), 'w')]),
  ],
  'operators of other domains': [
    refused('(FusedMatMul), of the domain "com.microsoft"', (graph, x) => graph.node('FusedMatMul', [x], {}, 'com.microsoft')),
  ],
  'functions': [refused('has 1 functions', (graph, x) => graph.layer(lstm(), x), { more: modelField(25) })],
  'training_info, sparse initializers': [
    refused('has training_info', (graph, x) => graph.layer(lstm(), x), { more: modelField(20) }),
    refused('has sparse initializers', (graph, x) => graph.layer(lstm(), x), { more: [bytes(7, bytes(15, message()))] }),
  ],
  'external data': [externalData()],
  'other opsets': [
    refused('has operators of version 6', (graph, x) => graph.layer(lstm(), x), { opset: 6 }),
    refused('has operators of version 27', (graph, x) => graph.layer(lstm(), x), { opset: 27 }),
  ],
  'no recurrent layer': [refused('has no RNN, GRU or LSTM', (graph, x) => graph.dense(dense(), x))],
};
