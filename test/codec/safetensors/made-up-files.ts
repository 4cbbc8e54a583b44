// Safetensors files for tests: 8 bytes with the size of the header, the header as JSON, the data.

/** A file with any header, right or wrong. */
export function file(header: unknown, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  return fileOfText(JSON.stringify(header), data);
}

export function fileOfText(header: string | Uint8Array, data: Uint8Array = new Uint8Array(0)) {
  const headerBytes = Buffer.from(header);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(headerBytes.length));
  return new Uint8Array(Buffer.concat([size, headerBytes, data]));
}

export const bytesOf = (array: Float32Array | Float64Array) => new Uint8Array(array.buffer);
/** The entry of a tensor in a header. */
export const f32 = (shape: unknown, data_offsets: unknown) => ({ dtype: 'F32', shape, data_offsets });

export function goodFile(): Uint8Array {
  const data = Buffer.concat([
    bytesOf(new Float64Array([0.1, -0, 1e300])),
    bytesOf(new Float32Array([1.5, -2.25, 3, 4])),
  ]);
  const header = {
    // Not in the order of the data, which is allowed.
    W_x: f32([2, 2], [24, 40]),
    __metadata__: { made: 'by hand' },
    b: { dtype: 'F64', shape: [3], data_offsets: [0, 24] },
  };
  return file(header, data);
}
