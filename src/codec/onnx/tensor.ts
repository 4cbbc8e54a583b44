// A tensor of an ONNX file → its shape and its numbers, which are in raw_data or in a field of their type.
// https://onnx.ai/onnx/repo-docs/IR.html#tensor-element-types
import type { Dtype } from '../../tensor.ts';
import { ELEMENT_BYTES, numbersIn } from '../dtypes.ts';
import { quote } from '../safetensors/quote.ts';
import { malformed, notRead } from './errors.ts';
import type { TensorProto } from './onnx_pb.ts';

/** More than any layer has. */
const RANK_MAX = 8;
/** TensorProto.DataLocation */
const EXTERNAL = 1;

/** TensorProto.DataType */
export const FLOAT_TYPES: ReadonlyMap<number, Dtype> = new Map<number, Dtype>([
  [1, 'F32'],
  [10, 'F16'],
  [11, 'F64'],
  [16, 'BF16'],
]);
export const INTEGER_TYPES: ReadonlyMap<number, Dtype> = new Map<number, Dtype>([
  [6, 'I32'],
  [7, 'I64'],
]);
export const BOOL = 9;

const TYPE_NAMES: ReadonlyMap<number, string> = new Map([
  [1, 'float'],
  [2, 'uint8'],
  [3, 'int8'],
  [4, 'uint16'],
  [5, 'int16'],
  [6, 'int32'],
  [7, 'int64'],
  [8, 'string'],
  [9, 'bool'],
  [10, 'float16'],
  [11, 'double'],
  [12, 'uint32'],
  [13, 'uint64'],
  [14, 'complex64'],
  [15, 'complex128'],
  [16, 'bfloat16'],
  [21, 'uint4'],
  [22, 'int4'],
]);

/** An element type as errors name it. */
export function nameOfType(type: number): string {
  return TYPE_NAMES.get(type) ?? `elements of type ${type}`;
}

export interface OnnxTensor {
  readonly shape: readonly number[];
  /** Row-major: float32, or float64 of doubles, integers and booleans. */
  readonly numbers: Float32Array | Float64Array;
  readonly isInteger: boolean;
}

/**
 * The shape of a tensor, and its numbers: in place if they are aligned float32 in raw_data.
 *
 * @throws malformed_model_file · model_file_unsupported
 */
export function readTensor(proto: TensorProto, name: string): OnnxTensor {
  expectInFile(proto, name);
  const type = proto.dataType;
  const shape = shapeOf(proto, name);
  const count = shape.reduce((product, size) => product * size, 1);
  if (!Number.isSafeInteger(count)) throw malformed(`has tensor ${quote(name)} of ${count} numbers`);
  const dtype = FLOAT_TYPES.get(type) ?? INTEGER_TYPES.get(type);
  if (dtype === undefined && type !== BOOL) {
    throw notRead(
      `has tensor ${quote(name)} of ${nameOfType(type)}`,
      'Expected float, double, float16 or bfloat16, and int32, int64 or bool in the computation of shapes. Of a quantized ' +
        'model, export the one from before its quantization.',
    );
  }
  const numbers = proto.rawData.length > 0 ? rawNumbers(proto, dtype, count, name) : typedNumbers(proto, dtype);
  if (numbers.length !== count) {
    throw malformed(`has tensor ${quote(name)} with ${numbers.length} numbers, expected ${count} by its dims`);
  }
  return { shape, numbers, isInteger: !FLOAT_TYPES.has(type) };
}

/** @throws model_file_unsupported if the elements of a tensor are in another file, or in parts */
export function expectInFile({ dataLocation, segment }: TensorProto, name: string): void {
  if (dataLocation === EXTERNAL) {
    throw notRead(
      `has the elements of tensor ${quote(name)} in another file, which is not here`,
      'Expected one file with all of them. In Python, where both files are: `import onnx; ' +
        'onnx.save(onnx.load("model.onnx"), "whole.onnx")`.',
    );
  }
  if (segment) throw notRead(`has tensor ${quote(name)} in segments, which are not read`, 'Expected it whole.');
}

function shapeOf({ dims }: TensorProto, name: string): number[] {
  if (dims.length > RANK_MAX) {
    throw notRead(`has tensor ${quote(name)} with ${dims.length} axes`, `Expected at most ${RANK_MAX}.`);
  }
  return dims.map((size) => {
    if (size >= 0n && size <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(size);
    throw malformed(`has tensor ${quote(name)} with an axis of size ${size}`);
  });
}

function rawNumbers({ rawData }: TensorProto, dtype: Dtype | undefined, count: number, name: string) {
  const size = dtype === undefined ? 1 : ELEMENT_BYTES[dtype];
  if (rawData.length !== count * size) {
    throw malformed(`has tensor ${quote(name)} with ${rawData.length} bytes, expected ${count * size} by its dims`);
  }
  return dtype === undefined ? Float64Array.from(rawData) : numbersIn(rawData, dtype);
}

/** float16 and bfloat16 are the low halves of int32_data, and so are booleans. */
function typedNumbers({ floatData, doubleData, int32Data, int64Data }: TensorProto, dtype: Dtype | undefined) {
  switch (dtype) {
    case 'F32':
      return Float32Array.from(floatData);
    case 'F64':
      return Float64Array.from(doubleData);
    case 'F16':
    case 'BF16':
      return numbersIn(new Uint8Array(Uint16Array.from(int32Data).buffer), dtype);
    case 'I64':
      return Float64Array.from(int64Data, Number);
    default:
      return Float64Array.from(int32Data);
  }
}
