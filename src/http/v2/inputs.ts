// The inputs of an inference request: tensors in its JSON, or as bytes behind it.
import type { Static } from 'typebox';
import { ELEMENT_BYTES } from '../../codec/dtypes.ts';
import { type Cube, type Matrix, type Vector, tensorFromJson } from '../../codec/json/tensor.ts';
import { type SafeTensor, tensorInPlace } from '../../codec/safetensors/read.ts';
import { invalidRequest } from '../../errors.ts';
import { type Dtype, formatShape } from '../../tensor.ts';
import { got } from '../validation.ts';
import { expectKnown } from './parameters.ts';
import type { InferenceBody } from './schemas.ts';

type Input = Static<typeof InferenceBody>['inputs'][number];

/** Datatypes of the protocol by what files call them. */
const DTYPE_OF: Readonly<Record<string, Dtype>> = {
  FP32: 'F32',
  FP64: 'F64',
  FP16: 'F16',
  BF16: 'BF16',
  INT32: 'I32',
  INT64: 'I64',
};

export interface InputTensor {
  readonly tensor: SafeTensor;
  /** Whether its datatype is one of integers. */
  readonly isInteger: boolean;
}

/**
 * The inputs by their names.
 *
 * @param raw the bytes behind the JSON
 * @param isHeld whether these, and the tensors of the JSON, are still in memory
 * @throws invalid_request · ragged_array · out_of_range
 */
export function readInputs(
  inputs: readonly Input[],
  raw: Buffer | undefined,
  isHeld: () => boolean,
): ReadonlyMap<string, InputTensor> {
  const tensors = new Map<string, InputTensor>();
  let at = 0;
  for (const [k, input] of inputs.entries()) {
    const { name, datatype, parameters = {} } = input;
    const place = placeOf(input, k);
    if (tensors.has(name)) throw invalidRequest(`${place} is there twice.`, `/inputs/${k}/name`);
    const dtype = Object.hasOwn(DTYPE_OF, datatype) ? DTYPE_OF[datatype] : undefined;
    if (!dtype) {
      const known = Object.keys(DTYPE_OF).join(', ');
      throw invalidRequest(`${place} has datatype ${datatype.slice(0, 40)}, expected one of ${known}.`, `/inputs/${k}/datatype`);
    }
    expectKnown(parameters, ['binary_data_size'], place);
    const size = parameters.binary_data_size;
    const bytes = size === undefined ? undefined : takeBytes(input, k, size, dtype, raw, at);
    if (bytes) at += bytes.length;
    const tensor = bytes ? tensorInPlace(dtype, input.shape, bytes, isHeld) : tensorOfJson(input, k, isHeld);
    tensors.set(name, { tensor, isInteger: datatype.startsWith('INT') });
  }
  const left = (raw?.length ?? 0) - at;
  if (left > 0) {
    throw invalidRequest(
      `${left} bytes follow the tensors: the inputs have binary_data_size of ${at} bytes in all, and ${raw!.length} follow ` +
        'the JSON, whose bytes Inference-Header-Content-Length counts.',
    );
  }
  return tensors;
}

/** The next bytes behind the JSON. @throws invalid_request */
function takeBytes(input: Input, k: number, size: unknown, dtype: Dtype, raw: Buffer | undefined, at: number): Buffer {
  const { shape, datatype, data } = input;
  const place = placeOf(input, k);
  const pointer = `/inputs/${k}/parameters/binary_data_size`;
  const count = countOf(shape);
  const expected = count * ELEMENT_BYTES[dtype];
  if (data) throw invalidRequest(`${place} has data and binary_data_size, expected one of them.`, pointer);
  if (size !== expected) {
    const why = `${count} elements of ${datatype} in ${formatShape(shape)}`;
    throw invalidRequest(`${place} has binary_data_size ${got(size)}, expected ${expected}: ${why}.`, pointer);
  }
  if (!raw) {
    throw invalidRequest(
      `${place} has binary_data_size ${expected}, but the request has no header Inference-Header-Content-Length, which says ` +
        'how many bytes the JSON has: the tensors follow it.',
      pointer,
    );
  }
  const left = raw.length - at;
  if (expected <= left) return raw.subarray(at, at + expected);
  throw invalidRequest(
    `${place} has binary_data_size ${expected}, but ${left} bytes are left of the ${raw.length} that follow the JSON. ` +
      'Inference-Header-Content-Length counts the bytes of the JSON alone.',
    pointer,
  );
}

/** @throws invalid_request · ragged_array · out_of_range */
function tensorOfJson(input: Input, k: number, isHeld: () => boolean): SafeTensor {
  const { shape, data } = input;
  const place = placeOf(input, k);
  if (!data) throw invalidRequest(`${place} has neither data nor parameters.binary_data_size.`, `/inputs/${k}`);
  const source = tensorFromJson(`inputs/${k}/data`, 'ABC'.slice(0, depthOf(data)), data);
  const count = countOf(shape);
  const isFlat = source.shape.length === 1 && source.shape[0] === count;
  const isSame = source.shape.length === shape.length && source.shape.every((size, axis) => size === shape[axis]);
  if (!isFlat && !isSame) {
    const expected = `arrays in arrays of shape ${formatShape(shape)}, or one array of ${count === 1 ? 'its one number' : `all ${count} numbers`}`;
    throw invalidRequest(`${place} has data of shape ${formatShape(source.shape)}, expected ${expected}.`, `/inputs/${k}/data`);
  }
  const inPlace = source.inPlace?.();
  if (inPlace) {
    const { buffer, byteOffset, byteLength } = inPlace;
    return tensorInPlace('F32', shape, new Uint8Array(buffer, byteOffset, byteLength), isHeld);
  }
  const numbers = new Float32Array(count);
  source.copyTo(numbers);
  return { dtype: 'F32', shape, data: numbers };
}

function placeOf({ name }: Input, k: number): string {
  return `inputs[${k}], ${JSON.stringify(name.slice(0, 40))},`;
}

function countOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function depthOf(data: Vector | Matrix | Cube): number {
  let depth = 0;
  for (let inner: unknown = data; Array.isArray(inner); inner = inner[0]) depth++;
  return depth;
}
