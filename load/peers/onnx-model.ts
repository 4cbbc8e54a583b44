// A recurrent layer as an ONNX model: a graph with one RNN, GRU or LSTM node and its weights.
//
// The model is a protobuf message (onnx.proto of the ONNX project). The numbers of its fields are followed by their
// names in a comment. What differs from src/layers.ts: weights are on the left, the gates stand in another order, and
// each of the two products has a bias.
import { GATES, type RecurrentLayer } from '../../src/layers.ts';
import { bytes, message, number } from './protobuf.ts';

const IR_VERSION = 8;
const OPSET_VERSION = 14;
/** TensorProto.DataType */
const FLOAT = 1;
/** AttributeProto.AttributeType */
const INT = 2;
const STRINGS = 8;

const OPERATORS = { rnn: 'RNN', gru: 'GRU', lstm: 'LSTM' } as const;

/** The gates in the order of ONNX, with the names of src/layers.ts; ONNX calls n of a GRU h, and g of an LSTM c. */
const ONNX_GATES = { rnn: ['h'], gru: ['z', 'r', 'n'], lstm: ['i', 'o', 'f', 'g'] } as const;

/** A number, or the name of an axis that each run has its own size of. */
type Axis = number | string;

export interface ModelSizes {
  readonly T: Axis;
  readonly N: Axis;
}

/**
 * Inputs `x` (T, N, D), `h` (1, N, H) and of an LSTM `c` (1, N, H); outputs `hs` (T, 1, N, H), `h_T` (1, N, H) and of
 * an LSTM `c_T` (1, N, H).
 *
 * @throws Error unless the layer is forward
 */
export function encodeModel({ T, N }: ModelSizes, layer: RecurrentLayer): Uint8Array {
  if (layer.direction !== 'forward') throw new Error(`A ${layer.direction} layer is not encoded.`);
  const { type, D, H } = layer;
  const states = type === 'lstm' ? ['h', 'c'] : ['h'];
  const valueInfos = (field: number, names: readonly string[]) =>
    names.map((name) => bytes(field, encodeValueInfo(name, [1, N, H])));

  // GraphProto
  const graph = message(
    bytes(1, encodeNode(layer, states)), // node
    bytes(2, 'recurrence'), // name
    ...encodeWeights(layer).map((tensor) => bytes(5, tensor)), // initializer
    bytes(11, encodeValueInfo('x', [T, N, D])), // input
    ...valueInfos(11, states),
    bytes(12, encodeValueInfo('hs', [T, 1, N, H])), // output
    ...valueInfos(12, states.map(lastOf)),
  );
  // ModelProto
  return message(
    number(1, IR_VERSION), // ir_version
    bytes(2, 'carryover'), // producer_name
    bytes(7, graph), // graph
    bytes(8, message(bytes(1, ''), number(2, OPSET_VERSION))), // opset_import: domain, version
  );
}

const lastOf = (state: string) => `${state}_T`;

// NodeProto
function encodeNode(layer: RecurrentLayer, states: readonly string[]): Uint8Array {
  const inputs = ['x', 'W', 'R', 'B', '', ...states]; // '' is sequence_lens: all rows take T steps
  return message(
    ...inputs.map((name) => bytes(1, name)), // input
    ...['hs', ...states.map(lastOf)].map((name) => bytes(2, name)), // output
    bytes(4, OPERATORS[layer.type]), // op_type
    ...attributesOf(layer).map((attribute) => bytes(5, attribute)), // attribute
  );
}

/** Activations that are not named are sigmoid for gates, and tanh. */
function attributesOf(layer: RecurrentLayer): Uint8Array[] {
  const attributes = [encodeInt('hidden_size', layer.H)];
  if (layer.type === 'rnn' && layer.activation === 'relu') attributes.push(encodeStrings('activations', ['Relu']));
  if (layer.type === 'gru') attributes.push(encodeInt('linear_before_reset', layer.reset === 'after' ? 1 : 0));
  return attributes;
}

/** W (1, G H, D), R (1, G H, H) and B (1, 2 G H), the bias of x W_x and behind it that of h W_h. */
function encodeWeights(layer: RecurrentLayer): Uint8Array[] {
  const { D, H, weights } = layer;
  const { W_x, W_h, b, b_hn } = weights;
  const columns = onnxColumns(layer);
  const firstOfN = columns.length - H;
  const hiddenBias = (j: number) => (b_hn && j >= firstOfN ? b_hn[j - firstOfN]! : 0);
  const biases = Float32Array.of(...columns.map((j) => b[j]!), ...columns.map(hiddenBias));
  return [
    encodeTensor('W', [1, columns.length, D], transpose(W_x, D, columns)),
    encodeTensor('R', [1, columns.length, H], transpose(W_h, H, columns)),
    encodeTensor('B', [1, 2 * columns.length], biases),
  ];
}

/** The columns of our weights, in the order of ONNX's rows. */
function onnxColumns({ type, H }: RecurrentLayer): number[] {
  const ours: readonly string[] = GATES[type];
  return ONNX_GATES[type].flatMap((gate) => Array.from({ length: H }, (_, j) => ours.indexOf(gate) * H + j));
}

/** The given columns of W (rows, columns) as rows. */
function transpose(W: Float32Array, rows: number, columns: readonly number[]): Float32Array {
  const out = new Float32Array(rows * columns.length);
  for (const [i, j] of columns.entries()) {
    for (let k = 0; k < rows; k++) out[i * rows + k] = W[k * columns.length + j]!;
  }
  return out;
}

// AttributeProto
function encodeInt(name: string, value: number): Uint8Array {
  return message(bytes(1, name), number(3, value), number(20, INT)); // name, i, type
}

function encodeStrings(name: string, values: readonly string[]): Uint8Array {
  return message(bytes(1, name), ...values.map((value) => bytes(9, value)), number(20, STRINGS)); // name, strings, type
}

// TensorProto
function encodeTensor(name: string, dims: readonly number[], data: Float32Array): Uint8Array {
  return message(
    ...dims.map((size) => number(1, size)), // dims
    number(2, FLOAT), // data_type
    bytes(8, name), // name
    bytes(9, littleEndian(data)), // raw_data
  );
}

// ValueInfoProto { name, type: TypeProto { tensor_type: { elem_type, shape: TensorShapeProto } } }
function encodeValueInfo(name: string, dims: readonly Axis[]): Uint8Array {
  const shape = message(...dims.map((size) => bytes(1, encodeAxis(size)))); // dim
  const tensorType = message(number(1, FLOAT), bytes(2, shape)); // elem_type, shape
  return message(bytes(1, name), bytes(2, bytes(1, tensorType))); // name, type { tensor_type }
}

// TensorShapeProto.Dimension
function encodeAxis(size: Axis): Uint8Array {
  return typeof size === 'number' ? number(1, size) : bytes(2, size); // dim_value or dim_param
}

function littleEndian(data: Float32Array): Uint8Array {
  const view = new DataView(new ArrayBuffer(data.byteLength));
  data.forEach((value, i) => view.setFloat32(4 * i, value, true));
  return new Uint8Array(view.buffer);
}
