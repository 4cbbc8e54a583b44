// Reads safetensors files: their tensors, copied or in place. The format: header.ts.
import { clientClosed } from '../../errors.ts';
import { type Dtype, FLOAT_DTYPES } from '../../tensor.ts';
import { copiedNumbers, numbersIn } from '../dtypes.ts';
import { type TensorEntry, readHeader } from './header.ts';

export interface SafeTensor {
  readonly dtype: Dtype;
  /** Empty for a single number. */
  readonly shape: readonly number[];
  /**
   * The elements, row-major: float64 for F64, I32 and I64, else float32. A copy, unless the file is read in place.
   *
   * @throws client_closed if the file is read in place and its bytes were released
   */
  readonly data: Float32Array | Float64Array;
  /**
   * Its bytes in the file; absent unless the file is read in place.
   *
   * @throws client_closed if they were released
   */
  readonly bytes?: Uint8Array | undefined;
}

/**
 * Copies of the tensors of a file by name, in the order of their data.
 *
 * @throws SafetensorsError if the file breaks the format, or has a dtype that is not supported
 */
export function readSafetensors(bytes: Uint8Array): Map<string, SafeTensor> {
  return readSafetensorsFile(bytes).tensors;
}

export interface SafetensorsFile {
  /** By name, in the order of their data. */
  readonly tensors: Map<string, SafeTensor>;
  /** `__metadata__`; empty if there is none. */
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * The tensors and the metadata of a file.
 *
 * @param areBytesHeld if given, the tensors are read in place, on each access, for as long as this returns true;
 *   once it returns false, the bytes were released and accesses throw client_closed. If absent, the tensors
 *   are copies
 * @param dtypes that its tensors may have
 * @throws SafetensorsError as readSafetensors()
 */
export function readSafetensorsFile(
  bytes: Uint8Array,
  areBytesHeld?: () => boolean,
  dtypes: readonly Dtype[] = FLOAT_DTYPES,
): SafetensorsFile {
  const { entries, metadata, data } = readHeader(bytes, dtypes);
  const tensors = entries.map((entry) => [entry.name, readTensor(entry, data, areBytesHeld)] as const);
  return { tensors: new Map(tensors), metadata };
}

function readTensor(
  { dtype, shape, begin, end }: TensorEntry,
  bytes: Uint8Array,
  areBytesHeld: (() => boolean) | undefined,
): SafeTensor {
  const data = bytes.subarray(begin, end);
  return areBytesHeld
    ? new TensorInPlace(dtype, shape, data, areBytesHeld)
    : { dtype, shape, data: copiedNumbers(data, dtype) };
}

/**
 * A tensor that is read where it is in a file, on each access.
 *
 * @param areBytesHeld once this returns false, accesses throw client_closed
 */
export function tensorInPlace(
  dtype: Dtype,
  shape: readonly number[],
  bytes: Uint8Array,
  areBytesHeld: () => boolean,
): SafeTensor {
  return new TensorInPlace(dtype, shape, bytes, areBytesHeld);
}

/** A tensor that is read where it is in the file. */
class TensorInPlace implements SafeTensor {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly #bytes: Uint8Array;
  readonly #areBytesHeld: () => boolean;

  constructor(
    dtype: Dtype,
    shape: readonly number[],
    bytes: Uint8Array,
    areBytesHeld: () => boolean,
  ) {
    this.dtype = dtype;
    this.shape = shape;
    this.#bytes = bytes;
    this.#areBytesHeld = areBytesHeld;
  }

  /** @throws client_closed */
  get data(): Float32Array | Float64Array {
    return numbersIn(this.bytes, this.dtype);
  }

  /** @throws client_closed */
  get bytes(): Uint8Array {
    if (!this.#areBytesHeld()) throw clientClosed();
    return this.#bytes;
  }
}
