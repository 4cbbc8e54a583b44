// Writes safetensors files, their dtypes by the kind of array: the inverse of codec/safetensors.ts.
export interface TensorToWrite {
  readonly shape: readonly number[];
  readonly data: Float32Array | Float64Array | Int32Array | BigInt64Array;
}

const DTYPES: Readonly<Record<string, string>> = {
  Float32Array: 'F32',
  Float64Array: 'F64',
  Int32Array: 'I32',
  BigInt64Array: 'I64',
};

export function writeSafetensors(
  tensors: Readonly<Record<string, TensorToWrite>>,
  metadata?: Readonly<Record<string, string>>,
): Uint8Array {
  let end = 0;
  const entries = Object.entries(tensors).map(([name, { shape, data }]) => {
    const begin = end;
    end += data.byteLength;
    const dtype = DTYPES[data.constructor.name];
    return [name, { dtype, shape, data_offsets: [begin, end] }] as const;
  });
  const header = Buffer.from(
    JSON.stringify({ ...(metadata && { __metadata__: metadata }), ...Object.fromEntries(entries) }),
  );
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(header.length));
  const bytes = Object.values(tensors).map(
    ({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  );
  return new Uint8Array(Buffer.concat([size, header, ...bytes]));
}
