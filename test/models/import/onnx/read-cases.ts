// For each row of the table of what is read from ONNX: files, and the layers that they are.
import type { LayerJson } from '../../../helpers/framework-files.ts';
import { type Storage, INT64, floats, integers } from '../../../helpers/onnx-files.ts';
import { type GraphOptions, type RecurrentJson, OnnxGraph, onnxFile } from '../../../helpers/onnx-graph.ts';
import { D, affine, both, dense, embedding, gru, lstm, reverse, rnn } from './small-layers.ts';

export interface ReadCase {
  /** What the file is, as POST /v1/models takes it. */
  readonly layers: readonly LayerJson[];
  readonly file: Uint8Array;
  /** In the notes; none are expected otherwise. */
  readonly note?: string;
}

/** The layers one behind the other. */
const plain = (layers: readonly LayerJson[], options: GraphOptions = {}): ReadCase => ({ layers, file: onnxFile(layers, options) });

/** @param build the nodes between x (T, N, D) and the outputs */
function built(
  layers: readonly LayerJson[],
  build: (graph: OnnxGraph, x: string) => string | readonly string[],
  options: GraphOptions & { readonly note?: string } = {},
): ReadCase {
  const { note, ...rest } = options;
  const graph = new OnnxGraph(rest);
  const outputs = build(graph, graph.x(layers[0]!.type === 'embedding' ? undefined : D));
  return { layers, file: graph.write(typeof outputs === 'string' ? [outputs] : outputs), ...(note !== undefined && { note }) };
}

/** A recurrent layer whose outputs are Y, Y_h … of its node. */
const recurrent = (layer: RecurrentJson, options: Parameters<OnnxGraph['recurrent']>[2] = {}) =>
  built([layer], (graph, x) => graph.recurrent(layer, x, options));

const ONE_STEP = 'is of one step; the service returns every step, of which it is the';
const LAST_STEP = `${ONE_STEP} last`;
const OF_STATES = 'is y of the answer, made of the last states';

function lastStep(layer: RecurrentJson, take: (graph: OnnxGraph, y: string) => string, note: string, options: GraphOptions = {}): ReadCase {
  const head = dense('tanh', layer.backward ? 2 * D : D);
  return built([layer, head], (graph, x) => graph.dense(head, take(graph, graph.layer(layer, x))), { note, ...options });
}

function lastStates(layer: RecurrentJson): ReadCase {
  const directions = layer.backward ? 2 : 1;
  const head = dense('relu', directions * D);
  const build = (graph: OnnxGraph, x: string) => {
    const moved = graph.node('Transpose', [graph.recurrent(layer, x)[1]!], { perm: { ints: [1, 0, 2] } });
    return graph.dense(head, graph.node('Reshape', [moved, graph.integers([-1, directions * D])]));
  };
  return built([layer, head], build, { note: OF_STATES });
}

function withStates(cell: () => RecurrentJson, note: string): ReadCase {
  const [one, other] = [cell(), cell()];
  return built(
    [one, other],
    (graph, x) => {
      const h = graph.input({ name: 'states', shape: [2, 'N', D] });
      const row = (k: number) => graph.node('Slice', [h, graph.integers([k]), graph.integers([k + 1]), graph.integers([0])]);
      const states = (k: number) => ({ inputs: ['', row(k)] });
      const first = graph.recurrent(one, x, states(0));
      const second = graph.recurrent(other, graph.steps(first[0]!), states(1));
      return [graph.steps(second[0]!), graph.node('Concat', [first[1]!, second[1]!], { axis: { i: 0 } })];
    },
    { note },
  );
}

/** Zeros of (1, N, D), where N is open. */
function zeros(graph: OnnxGraph, x: string, isExpanded: boolean): string {
  const N = graph.node('Gather', [graph.node('Shape', [x]), graph.integers([1], [])]);
  const sizes = [graph.integers([1]), graph.node('Unsqueeze', [N, graph.integers([0])]), graph.integers([D])];
  const shape = graph.node('Concat', sizes, { axis: { i: 0 } });
  if (isExpanded) return graph.node('Expand', [graph.floats([1, 1, D], [0, 0]), shape]);
  return graph.node('ConstantOfShape', [shape], { value: { t: floats('', [1], [0]) } });
}

function zeroStates(cell: RecurrentJson, isExpanded: boolean): ReadCase {
  return built([cell], (graph, x) => {
    const zero = zeros(graph, x, isExpanded);
    return graph.recurrent(cell, x, { inputs: ['', zero, ...(cell.type === 'lstm' ? [zero] : [])] });
  });
}

function twoNodes(cell: () => RecurrentJson, note: string | undefined, isLast: boolean): ReadCase {
  const [forward, backward, head] = [cell(), cell(), dense('linear', 2 * D)];
  return built(
    [both(forward, backward), head],
    (graph, x) => {
      const take = (layer: RecurrentJson) => graph.node('Squeeze', [graph.recurrent(layer, x)[isLast ? 1 : 0]!, graph.integers([isLast ? 0 : 1])]);
      return graph.dense(head, graph.node('Concat', [take(forward), take(reverse(backward))], { axis: { i: -1 } }));
    },
    note === undefined ? {} : { note },
  );
}

/** The directions of one node, taken apart and joined again. */
function splitDirections(): ReadCase {
  const [layer, head] = [both(gru(), gru()), dense('linear', 2 * D)];
  return built([layer, head], (graph, x) => {
    const [Y] = graph.recurrent(layer, x) as [string];
    const parts = graph.nodeOf(2, 'Split', [Y], { axis: { i: 1 } });
    const apart = parts.map((part) => graph.node('Squeeze', [part, graph.integers([1])]));
    return graph.dense(head, graph.node('Concat', apart, { axis: { i: 2 } }));
  });
}

const lengths = (layer: RecurrentJson) =>
  built(
    [layer],
    (graph, x) => graph.recurrent(layer, x, { inputs: [graph.input({ name: 'steps', shape: ['N'], type: INT64 })] })[0]!,
    { note: 'The input "steps" is lengths of a request' },
  );

/** T of each row, as it is computed. */
const allSteps = (layer: RecurrentJson) =>
  built([layer], (graph, x) => {
    const shape = graph.node('Shape', [x]);
    const [T, N] = [0, 1].map((axis) => graph.node('Gather', [shape, graph.integers([axis])])) as [string, string];
    return graph.recurrent(layer, x, { inputs: [graph.node('Expand', [T, N])] })[0]!;
  });

/** A dense layer as a Gemm over (T · N, D). */
function asGemm(layer: RecurrentJson, isTransposed: boolean, hasBias: boolean): ReadCase {
  const { b, ...rest } = dense();
  const head = hasBias ? { b: b!, ...rest } : rest;
  return built([layer, head], (graph, x) => {
    const rows = graph.node('Reshape', [graph.layer(layer, x), graph.integers([-1, D])]);
    const W = isTransposed ? [0, 1].flatMap((j) => head.W.map((row) => row[j]!)) : head.W.flat();
    const inputs = [rows, graph.floats([D, D], W), ...(hasBias ? [graph.floats([1, D], b!)] : [])];
    const product = graph.node('Gemm', inputs, isTransposed ? { transB: { i: 1 } } : {});
    const shape = graph.node('Shape', [x]);
    const start = graph.node('Slice', [shape, graph.integers([0]), graph.integers([2])]);
    return graph.node('Reshape', [product, graph.node('Concat', [start, graph.integers([D])], { axis: { i: 0 } })]);
  });
}

/** Twice, behind a recurrent layer. */
const alone = (op: string): ReadCase => {
  const layer = lstm();
  const own: LayerJson = { type: 'dense', W: [[1, 0], [0, 1]], activation: op.toLowerCase() };
  return built([layer, own, own], (graph, x) => graph.node(op, [graph.node(op, [graph.layer(layer, x)])]));
};

/** (x - 0.5) / 4 · 3 + 1 */
const ARITHMETIC = affine([0.75, 0.75], [0.625, 0.625]);

function arithmetic(): ReadCase {
  const layer = lstm();
  return built([ARITHMETIC, layer], (graph, x) => {
    const one = (value: number) => graph.floats([], [value]);
    const centred = graph.node('Sub', [x, graph.floats([1, 1, D], [0.5, 0.5])]);
    const scaled = graph.node('Mul', [one(3), graph.node('Div', [centred, one(4)])]);
    return graph.layer(layer, graph.node('Add', [scaled, one(1)]));
  });
}

function flipped(): ReadCase {
  const layer = lstm();
  return built([affine([-1, -1], [0.5, 2]), layer], (graph, x) => {
    return graph.layer(layer, graph.node('Sub', [graph.floats([D], [0.5, 2]), x]));
  });
}

function norm(): ReadCase {
  const layer = lstm();
  const [weight, bias, mean, variance, eps] = [[2, -1], [0.25, 3], [1, -0.5], [3, 0.25], 0.5];
  const scale = weight.map((w, j) => w / Math.sqrt(variance[j]! + eps));
  return built([layer, affine(scale, bias.map((b, j) => b - mean[j]! * scale[j]!))], (graph, x) => {
    const moved = graph.node('Transpose', [graph.layer(layer, x)], { perm: { ints: [1, 2, 0] } });
    const tensors = [weight, bias, mean, variance].map((values) => graph.floats([D], values));
    const normed = graph.node('BatchNormalization', [moved, ...tensors], { epsilon: { f: eps } });
    return graph.node('Transpose', [normed], { perm: { ints: [2, 0, 1] } });
  });
}

/** Axes moved there and back. */
function plumbing(opset: number): ReadCase {
  const [layer, head] = [gru(), dense()];
  const axes = (graph: OnnxGraph, list: number[]) => (opset < 13 ? [] : [graph.integers(list)]);
  const attribute = (list: number[]) => (opset < 13 ? { axes: { ints: list } } : {});
  return built(
    [layer, head],
    (graph, x) => {
      let value = graph.node('Identity', [graph.recurrent(layer, x)[0]!]);
      value = graph.node('Squeeze', [value, ...axes(graph, [1])], attribute([1]));
      value = graph.node('Dropout', [graph.node('Unsqueeze', [value, ...axes(graph, [0, -1])], attribute([0, 4]))]);
      value = graph.node('Squeeze', [value, ...axes(graph, [0, 4])], attribute([0, 4]));
      value = graph.node('Flatten', [value], { axis: { i: 2 } });
      value = graph.node('Expand', [value, graph.integers([1, 1])]);
      return graph.dense(head, value);
    },
    { opset },
  );
}

/** x (T, D) of one row. */
function oneRow(): ReadCase {
  const layer = lstm();
  const graph = new OnnxGraph();
  const x = graph.node('Unsqueeze', [graph.input({ name: 'x', shape: ['T', D] }), graph.integers([1])]);
  return { layers: [layer], file: graph.write([graph.node('Squeeze', [graph.layer(layer, x), graph.integers([1])])]) };
}

/** x (T, 1, 1) with all sizes fixed, and axes of size 1 that are taken away and put back. */
function oneFeature(): ReadCase {
  const layer: RecurrentJson = { type: 'rnn', activation: 'tanh', W_x: [[0.5]], W_h: [[0.25]], b: [1] };
  const graph = new OnnxGraph();
  const x = graph.input({ name: 'x', shape: [5, 1, 1] });
  const flat = graph.node('Reshape', [x, graph.integers([-1])]);
  const Y = graph.recurrent(layer, graph.node('Reshape', [flat, graph.integers([5, 1, 1])]))[0]!;
  return { layers: [layer], file: graph.write([graph.node('Reshape', [Y, graph.integers([5, 1])])]) };
}

function casts(): ReadCase {
  const [rows, layer] = [embedding(), lstm()];
  return built([rows, layer], (graph) => {
    const x = graph.input({ name: 'numbers', shape: ['T', 'N'] });
    const value = graph.embedding(rows, graph.node('Cast', [x], { to: { i: 7 } }));
    return graph.node('Cast', [graph.layer(layer, graph.node('Cast', [value], { to: { i: 11 } }))], { to: { i: 1 } });
  });
}

/** Weights as torch has them, put in ONNX's order by nodes. */
function computedWeights(): ReadCase {
  const layer = rnn();
  return built([layer], (graph, x) => {
    const W = graph.node('Transpose', [graph.floats([D, D], layer.W_x.flat())], { perm: { ints: [1, 0] } });
    const R = graph.node('Transpose', [graph.floats([D, D], layer.W_h.flat())]);
    const halves = [graph.floats([D], layer.b!), graph.node('Sub', [graph.floats([D], layer.b_h!.map((value) => value + value)), graph.floats([D], layer.b_h!)])];
    const inputs = [W, R, graph.node('Concat', halves, { axis: { i: 0 } })];
    const [W1, R1, B1] = inputs.map((part) => graph.node('Unsqueeze', [part, graph.integers([0])])) as [string, string, string];
    return graph.nodeOf(2, 'RNN', [x, W1, R1, B1], { hidden_size: { i: D } });
  });
}

/** A shape with an Equal and a Where, as torch writes those of expand(). */
function computedShapes(): ReadCase {
  const layer = lstm();
  return built([layer], (graph, x) => {
    const N = graph.node('Slice', [graph.node('Shape', [x]), graph.integers([1]), graph.integers([2])]);
    const wanted = graph.node('Concat', [graph.integers([1]), N, graph.integers([-1])], { axis: { i: 0 } });
    const ones = graph.node('ConstantOfShape', [graph.integers([3])], { value: { t: integers('', [1], [1]) } });
    const isOpen = graph.node('Equal', [wanted, graph.node('Mul', [ones, graph.integers([-1])])]);
    const shape = graph.node('Where', [isOpen, ones, wanted]);
    const zero = graph.node('Expand', [graph.floats([1, 1, D], [0, 0]), shape]);
    return graph.recurrent(layer, x, { inputs: ['', zero, zero] })[0]!;
  });
}

/** Of numbers that each of these types has. */
const EXACT: readonly LayerJson[] = [
  { type: 'gru', reset: 'before', W_x: [[0.5, -1, 2]], W_h: [[1, 2, -0.5]], b: [0.5, 1, 2] },
  { type: 'dense', W: [[2, 0.5]], b: [1, -0.25] },
];

const stored = (...storages: Storage[]) => storages.map((storage) => plain(EXACT, { storage: () => storage }));

export const READ: Readonly<Record<string, readonly ReadCase[]>> = {
  '`RNN`: Tanh, Relu': [plain([rnn('tanh')]), plain([rnn('relu'), dense()])],
  '`GRU`, `linear_before_reset` 1, 0': [plain([gru('after')]), plain([gru('before')])],
  '`LSTM`': [plain([lstm()]), recurrent(lstm(), { attributes: { activations: { strings: ['sigmoid', 'Tanh', 'TANH'] } } })],
  '`direction` reverse, bidirectional': [
    plain([reverse(rnn()), dense()]),
    plain([both(rnn('relu'), rnn('relu')), gru('after', 2 * D)]),
    plain([both(gru('before'), gru('before')), both(lstm(2 * D), lstm(2 * D))]),
  ],
  'the two directions apart, joined by a `Concat`': [
    splitDirections(),
    twoNodes(() => lstm(), undefined, false),
    twoNodes(() => gru('before'), undefined, false),
    twoNodes(() => rnn(), OF_STATES, true),
  ],
  '`layout` 1': [plain([gru(), dense()], { layout: 1 }), plain([both(lstm(), lstm())], { layout: 1 })],
  '`initial_h`, `initial_c` that are inputs': [withStates(() => gru(), 'The input "states" is h of a request or a session')],
  '`initial_h`, `initial_c` of zeros': [zeroStates(gru(), true), zeroStates(lstm(), false), recurrent(lstm(), { inputs: ['', '', ''] })],
  '`sequence_lens` that are an input': [lengths(lstm()), lengths(both(gru(), gru()))],
  '`sequence_lens` of T for each row': [allSteps(rnn())],
  '`Gather` of rows of a constant matrix by x': [plain([embedding(), lstm(), dense('softmax')])],
  '`MatMul`, `Gemm` with constant weights, and an `Add` behind': [
    plain([dense(), lstm(), dense()]),
    asGemm(lstm(), true, true),
    asGemm(rnn(), false, false),
  ],
  '`Relu`, `Tanh`, `Sigmoid`, `Softmax` behind a dense layer': ['relu', 'tanh', 'sigmoid', 'softmax'].map((name) => plain([lstm(), dense(name)])),
  '`Relu`, `Tanh`, `Sigmoid`, `Softmax` elsewhere, of at most 1,024 features': ['Relu', 'Tanh', 'Sigmoid', 'Softmax'].map(alone),
  '`Add`, `Sub`, `Mul`, `Div` with constants': [arithmetic(), flipped(), plain([affine([2, -3], [0.5, 0]), lstm(), affine([0.1, 7], [1, 1])])],
  '`BatchNormalization` of the features': [norm()],
  '`Transpose`, `Reshape`, `Flatten`, `Squeeze`, `Unsqueeze`, `Expand`, `Identity`, `Dropout`': [plumbing(12), plumbing(13), oneRow(), oneFeature()],
  '`Cast` between floats, and of x to integers': [casts()],
  '`Slice`, `Gather` of the last or the first step': [
    lastStep(lstm(), (graph, y) => graph.node('Gather', [y, graph.integers([-1], [])]), LAST_STEP),
    lastStep(both(gru(), gru()), (graph, y) => graph.node('Gather', [y, graph.integers([0], [])]), `${ONE_STEP} first`),
    lastStep(rnn(), (graph, y) => graph.node('Slice', [y], { starts: { ints: [-1] }, ends: { ints: [2 ** 31 - 1] } }), LAST_STEP, { opset: 9 }),
  ],
  '`Y_h` in front of dense layers': [lastStates(lstm()), lastStates(reverse(gru())), lastStates(both(rnn(), rnn()))],
  '`Y_h`, `Y_c` as outputs, also joined by a `Concat`': [recurrent(lstm()), recurrent(both(gru(), gru()))],
  '`Shape`, and operators above on sizes and on constants; `Constant`, `ConstantOfShape`, `Equal`, `Where`': [computedWeights(), computedShapes()],
  'float, double, float16, bfloat16': stored('raw', 'raw double', 'raw float16', 'int32_data bfloat16'),
  '`raw_data`, `float_data`, `double_data`, `int32_data` of halfs': stored('float_data', 'double_data', 'int32_data bfloat16'),
  'opset 7 to 26': [plain([lstm()], { opset: 7 }), plain([lstm()], { opset: 26 })],
};
