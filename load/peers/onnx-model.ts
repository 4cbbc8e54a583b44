// One layer of the recurrence as an ONNX model: a graph with a single RNN node and its weights.
//
// The model is a protobuf message (onnx.proto of the ONNX project). Of protobuf this takes two
// kinds of field only: numbers (varint) and bytes with a length in front, also for strings and
// messages. The numbers of the fields stand behind the names of their messages below.
import type { Weights } from '../../src/tensor.ts';

const IR_VERSION = 8;
const OPSET_VERSION = 14;
/** TensorProto.DataType */
const FLOAT = 1;
/** AttributeProto.AttributeType */
const INT = 2;

/** A number, or the name of an axis that each run has its own size of. */
type Axis = number | string;

export interface ModelSizes {
  readonly T: Axis;
  readonly N: Axis;
}

/** Inputs `x` (T, N, D) and `h` (1, N, H); outputs `hs` (T, 1, N, H) and `h_T` (1, N, H). */
export function encodeModel({ T, N }: ModelSizes, { D, H, W_x, W_h, b }: Weights): Uint8Array {
  // ModelProto
  return message(
    number(1, IR_VERSION), // ir_version
    bytes(2, 'carryover'), // producer_name
    bytes(7, encodeGraph()), // graph
    bytes(8, message(bytes(1, ''), number(2, OPSET_VERSION))), // opset_import: domain, version
  );

  // GraphProto
  function encodeGraph(): Uint8Array {
    return message(
      bytes(1, encodeNode()), // node
      bytes(2, 'recurrence'), // name
      // initializer; ONNX has the weight on the left, and a bias for each of the two products
      bytes(5, encodeTensor('W', [1, H, D], transpose(W_x, D, H))),
      bytes(5, encodeTensor('R', [1, H, H], transpose(W_h, H, H))),
      bytes(5, encodeTensor('B', [1, 2 * H], Float32Array.of(...b, ...new Float32Array(H)))),
      bytes(11, encodeValueInfo('x', [T, N, D])), // input
      bytes(11, encodeValueInfo('h', [1, N, H])),
      bytes(12, encodeValueInfo('hs', [T, 1, N, H])), // output
      bytes(12, encodeValueInfo('h_T', [1, N, H])),
    );
  }

  // NodeProto; the activation is tanh unless another is named
  function encodeNode(): Uint8Array {
    const inputs = ['x', 'W', 'R', 'B', '', 'h']; // '' is sequence_lens: all rows take T steps
    return message(
      ...inputs.map((name) => bytes(1, name)), // input
      ...['hs', 'h_T'].map((name) => bytes(2, name)), // output
      bytes(4, 'RNN'), // op_type
      bytes(5, message(bytes(1, 'hidden_size'), number(3, H), number(20, INT))), // attribute
    );
  }
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

/** A field of wire type 0. */
function number(field: number, value: number): Uint8Array {
  return message(varint(field << 3), varint(value));
}

/** A field of wire type 2. */
function bytes(field: number, value: string | Uint8Array): Uint8Array {
  const content = typeof value === 'string' ? Buffer.from(value) : value;
  return message(varint((field << 3) | 2), varint(content.length), content);
}

/** Seven bits a byte, the lowest first; the eighth bit says that more follow. */
function varint(value: number): Uint8Array {
  const out: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) out.push((rest % 0x80) | 0x80);
  return Uint8Array.from([...out, rest]);
}

/** A message is its fields, one behind the other. */
function message(...fields: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(fields);
}

function transpose(W: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(rows * columns);
  for (let k = 0; k < rows; k++) {
    for (let j = 0; j < columns; j++) out[j * rows + k] = W[k * columns + j]!;
  }
  return out;
}

function littleEndian(data: Float32Array): Uint8Array {
  const view = new DataView(new ArrayBuffer(data.byteLength));
  data.forEach((value, i) => view.setFloat32(4 * i, value, true));
  return new Uint8Array(view.buffer);
}
