// Writes ONNX files, with nothing of the import: graphs of any nodes.
import { bytes, message, number } from '../../load/peers/protobuf.ts';

/** TensorProto.DataType */
export const FLOAT = 1;
export const INT64 = 7;
const FLOAT16 = 10;
const DOUBLE = 11;
const BFLOAT16 = 16;

type Numbers = readonly number[];

export interface NodeToWrite {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly name?: string;
  readonly domain?: string;
  readonly attributes?: Readonly<Record<string, Attribute>>;
}

export type Attribute =
  | { readonly i: number }
  | { readonly f: number }
  | { readonly s: string }
  | { readonly ints: Numbers }
  | { readonly strings: readonly string[] }
  | { readonly t: Uint8Array }
  | { readonly g: Uint8Array };

/** A number, or the name of an open size. */
type Dimension = number | string;

export interface ValueToWrite {
  readonly name: string;
  /** Absent of an output, whose shape then follows from the nodes. */
  readonly shape?: readonly Dimension[];
  /** TensorProto.DataType; float if absent. */
  readonly type?: number;
}

export interface GraphToWrite {
  readonly nodes: readonly NodeToWrite[];
  readonly initializers: readonly Uint8Array[];
  readonly inputs: readonly ValueToWrite[];
  readonly outputs: readonly ValueToWrite[];
  readonly opset?: number;
  /** Further fields of the ModelProto. */
  readonly more?: readonly Uint8Array[];
}

export function writeOnnx({ nodes, initializers, inputs, outputs, opset = 17, more = [] }: GraphToWrite): Uint8Array {
  const graph = message(
    ...nodes.map((node) => bytes(1, nodeProto(node))),
    bytes(2, 'graph'),
    ...initializers.map((tensor) => bytes(5, tensor)),
    ...inputs.map((value) => bytes(11, valueInfoProto(value))),
    ...outputs.map((value) => bytes(12, valueInfoProto(value))),
  );
  const operators = message(bytes(1, ''), number(2, opset));
  return message(number(1, 8), bytes(2, 'test'), bytes(7, graph), bytes(8, operators), ...more);
}

function nodeProto({ op, inputs, outputs, name = '', domain = '', attributes = {} }: NodeToWrite): Uint8Array {
  return message(
    ...inputs.map((input) => bytes(1, input)),
    ...outputs.map((output) => bytes(2, output)),
    bytes(3, name),
    bytes(4, op),
    ...Object.entries(attributes).map(([key, value]) => bytes(5, attributeProto(key, value))),
    bytes(7, domain),
  );
}

/** With AttributeProto.AttributeType. */
function attributeProto(name: string, value: Attribute): Uint8Array {
  const field = (type: number, ...fields: readonly Uint8Array[]) => message(bytes(1, name), ...fields, number(20, type));
  if ('i' in value) return field(2, integer(3, value.i));
  if ('f' in value) return field(1, float(2, value.f));
  if ('s' in value) return field(3, bytes(4, value.s));
  if ('t' in value) return field(4, bytes(5, value.t));
  if ('g' in value) return field(5, bytes(6, value.g));
  if ('ints' in value) return field(7, ...value.ints.map((one) => integer(8, one)));
  return field(8, ...value.strings.map((one) => bytes(9, one)));
}

/** A field of wire type 5. */
function float(field: number, value: number): Uint8Array {
  return message(Uint8Array.of((field << 3) | 5), new Uint8Array(Float32Array.of(value).buffer));
}

/** A varint of 64 bits: of a negative number, its two's complement. */
function integer(field: number, value: number): Uint8Array {
  let rest = BigInt.asUintN(64, BigInt(value));
  const out = [field << 3];
  for (; rest > 0x7fn; rest >>= 7n) out.push(Number(rest & 0x7fn) | 0x80);
  return Uint8Array.from([...out, Number(rest)]);
}

function valueInfoProto({ name, shape, type = FLOAT }: ValueToWrite): Uint8Array {
  const dims = shape?.map((size) => bytes(1, typeof size === 'number' ? number(1, size) : bytes(2, size)));
  const tensor = message(number(1, type), ...(dims ? [bytes(2, message(...dims))] : []));
  return message(bytes(1, name), bytes(2, bytes(1, tensor)));
}

/** How the numbers of a tensor stand in the file. */
export type Storage = 'raw' | 'float_data' | 'double_data' | 'raw double' | 'raw float16' | 'int32_data bfloat16';

export function floats(name: string, shape: Numbers, values: Numbers, storage: Storage = 'raw'): Uint8Array {
  const typed = (type: number, field: number, content: ArrayBufferView) =>
    message(
      ...shape.map((size) => number(1, size)),
      number(2, type),
      bytes(field, new Uint8Array(content.buffer, content.byteOffset, content.byteLength)),
      bytes(8, name),
    );
  switch (storage) {
    case 'raw':
      return typed(FLOAT, 9, Float32Array.from(values));
    case 'float_data':
      return typed(FLOAT, 4, Float32Array.from(values));
    case 'double_data':
      return typed(DOUBLE, 10, Float64Array.from(values));
    case 'raw double':
      return typed(DOUBLE, 9, Float64Array.from(values));
    case 'raw float16':
      return typed(FLOAT16, 9, Float16Array.from(values));
    case 'int32_data bfloat16': {
      const halves = [...new Uint32Array(Float32Array.from(values).buffer)].map((word) => word >>> 16);
      const varints = halves.map((half) => integer(0, half).subarray(1));
      return typed(BFLOAT16, 5, Buffer.concat(varints));
    }
  }
}

export function integers(name: string, shape: Numbers, values: Numbers): Uint8Array {
  const words = BigInt64Array.from(values.map((value) => BigInt(value)));
  return message(
    ...shape.map((size) => number(1, size)),
    number(2, INT64),
    bytes(8, name),
    bytes(9, new Uint8Array(words.buffer)),
  );
}
