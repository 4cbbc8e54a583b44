// What encoding an ONNX model takes of protobuf: fields that are numbers (varint), and fields that are bytes with a
// length in front, as strings and messages are too.

/** A field of wire type 0. */
export function number(field: number, value: number): Uint8Array {
  return message(varint(field << 3), varint(value));
}

/** A field of wire type 2. */
export function bytes(field: number, value: string | Uint8Array): Uint8Array {
  const content = typeof value === 'string' ? Buffer.from(value) : value;
  return message(varint((field << 3) | 2), varint(content.length), content);
}

/** A message is its fields, one behind the other. */
export function message(...fields: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(fields);
}

/** Seven bits a byte, the lowest first; the eighth bit says that more follow. */
function varint(value: number): Uint8Array {
  const out: number[] = [];
  let rest = value;
  for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) out.push((rest % 0x80) | 0x80);
  return Uint8Array.from([...out, rest]);
}
