// Checks the bytes of a protobuf message before values are made of them: that every field has the encoding that its
// type has in onnx.proto, that it ends within its message, and that there are not too many. What passes is decoded
// without an error, in memory that is some times the file's. https://protobuf.dev/programming-guides/encoding/
//
// Fields that onnx.proto does not have are skipped in one step, whatever is in them. Its messages do not contain
// themselves, so nothing is nested deeper than it says.
import { type DescField, type DescMessage, ScalarType } from '@bufbuild/protobuf';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { CarryoverError } from '../../errors.ts';
import { malformed, notRead } from './errors.ts';

/** Of all messages together. Each becomes a value of up to some hundred bytes; a layer has some hundred. */
const FIELDS_MAX = 200_000;
/** What a byte of packed integers counts: 8 bytes are made of each number. Shapes have few; a half has up to 3 bytes. */
const FIELDS_PER_PACKED_BYTE: Partial<Record<ScalarType, number>> = { [ScalarType.INT64]: 1, [ScalarType.INT32]: 1 / 64 };

const WIRE_TYPES: Partial<Record<ScalarType, WireType>> = {
  [ScalarType.INT64]: WireType.Varint,
  [ScalarType.INT32]: WireType.Varint,
  [ScalarType.FLOAT]: WireType.Bit32,
  [ScalarType.DOUBLE]: WireType.Bit64,
  [ScalarType.STRING]: WireType.LengthDelimited,
  [ScalarType.BYTES]: WireType.LengthDelimited,
};

/** @throws malformed_model_file · model_file_unsupported if it has too many fields */
export function checkMessage(bytes: Uint8Array, type: DescMessage): void {
  new MessageCheck(bytes).check(type, bytes.length);
}

class MessageCheck {
  readonly #reader: BinaryReader;
  #fieldsLeft = FIELDS_MAX;

  constructor(bytes: Uint8Array) {
    this.#reader = new BinaryReader(bytes);
  }

  /** @param end of the message, a position in the file */
  check(type: DescMessage, end: number): void {
    const reader = this.#reader;
    while (reader.pos < end) {
      const start = reader.pos;
      try {
        this.#checkField(type, end);
      } catch (cause) {
        if (cause instanceof CarryoverError) throw cause;
        throw malformed(`is damaged at byte ${start}: ${(cause as Error).message}`, cause);
      }
      if (reader.pos > end) throw malformed(`ends in the middle of a field of its ${type.name}, at byte ${start}`);
    }
  }

  #checkField(type: DescMessage, end: number): void {
    const reader = this.#reader;
    const start = reader.pos;
    const [number, wireType] = reader.tag();
    if (wireType === WireType.StartGroup || wireType === WireType.EndGroup) {
      throw malformed(`has a group at byte ${start}, and no message of ONNX has one`);
    }
    this.#count(1);
    const field = fieldOf(type, number);
    if (!field) {
      reader.skip(wireType, number);
      return;
    }
    const expected = wireTypeOf(field);
    const isPacked = field.fieldKind === 'list' && wireType === WireType.LengthDelimited && expected !== wireType;
    if (wireType !== expected && !isPacked) {
      const found = `field ${number} of its ${type.name} in wire type ${wireType} at byte ${start}`;
      throw malformed(`has ${found}, expected ${expected}`);
    }
    if (wireType === WireType.LengthDelimited) this.#checkContent(field, isPacked, end);
    else if (wireType === WireType.Varint) reader.int64();
    else reader.skip(wireType);
  }

  #checkContent(field: DescField, isPacked: boolean, end: number): void {
    const reader = this.#reader;
    const length = reader.uint32();
    const contentEnd = reader.pos + length;
    if (contentEnd > end) {
      throw malformed(`ends in the middle of ${field.name} of its ${field.parent.name}, at byte ${reader.pos}`);
    }
    if (field.message) {
      this.check(field.message, contentEnd);
      return;
    }
    if (isPacked) this.#checkPacked(field.scalar!, contentEnd);
    reader.pos = contentEnd;
  }

  #checkPacked(scalar: ScalarType, end: number): void {
    const reader = this.#reader;
    const bytes = end - reader.pos;
    const wireType = WIRE_TYPES[scalar]!;
    if (wireType === WireType.Varint) {
      this.#count(bytes * (FIELDS_PER_PACKED_BYTE[scalar] ?? 1));
      while (reader.pos < end) reader.int64();
      if (reader.pos === end) return;
    } else if (bytes % (wireType === WireType.Bit32 ? 4 : 8) === 0) return;
    throw malformed(`ends in the middle of a packed number, at byte ${end}`);
  }

  #count(fields: number): void {
    this.#fieldsLeft -= fields;
    if (this.#fieldsLeft >= 0) return;
    throw notRead(
      `has more than ${FIELDS_MAX} nodes, attributes, names, and integers outside raw_data`,
      'Expected a network of at most 32 layers, whose tensors are in raw_data, as onnx.numpy_helper.from_array makes them.',
    );
  }
}

const fieldsOfTypes = new WeakMap<DescMessage, ReadonlyMap<number, DescField>>();

function fieldOf(type: DescMessage, number: number): DescField | undefined {
  let fields = fieldsOfTypes.get(type);
  if (!fields) fieldsOfTypes.set(type, (fields = new Map(type.fields.map((field) => [field.number, field]))));
  return fields.get(number);
}

function wireTypeOf(field: DescField): WireType {
  return field.message ? WireType.LengthDelimited : WIRE_TYPES[field.scalar!]!;
}
