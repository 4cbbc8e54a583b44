// The same bytes as those of a general library, for any message.
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { expect, test } from 'vitest';
import { ProtobufWriter } from '../../src/tracing/protobuf-writer.ts';
import { runs } from '../helpers/long.ts';
import { fc } from '../helpers/seed.ts';

/** A field, written by the library and by ours. */
interface Field {
  readonly byLibrary: (writer: BinaryWriter) => BinaryWriter;
  readonly byOurs: (writer: ProtobufWriter) => void;
}

const uint32 = fc.integer({ min: 0, max: 0xffff_ffff });
const texts = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 300 }), fc.string({ minLength: 100, maxLength: 40_000 }));

const { field: anyField } = fc.letrec<{ field: Field }>((tie) => {
  const of = <Value>(value: fc.Arbitrary<Value>, make: (field: number, value: Value) => Field) =>
    fc.tuple(fc.integer({ min: 1, max: 3_000 }), value).map(([field, own]) => make(field, own));
  const asBytes = (writer: BinaryWriter, field: number, bytes: Uint8Array) => writer.tag(field, WireType.LengthDelimited).bytes(bytes);
  return {
    field: fc.oneof(
      { depthSize: 'small' },
      of(fc.oneof(fc.nat(300), fc.maxSafeNat()), (field, value) => ({
        byLibrary: (writer) => writer.tag(field, WireType.Varint).uint64(value),
        byOurs: (writer) => writer.integer(field, value),
      })),
      of(uint32, (field, value) => ({
        byLibrary: (writer) => writer.tag(field, WireType.Bit32).fixed32(value),
        byOurs: (writer) => writer.fixed32(field, value),
      })),
      // Eighths of a ms, which a number has exactly; 64 bits of ns end in the year 2554.
      of(fc.integer({ min: 0, max: 2 ** 47 - 1 }), (field, eighths) => ({
        byLibrary: (writer) => writer.tag(field, WireType.Bit64).fixed64(BigInt(eighths) * 125_000n),
        byOurs: (writer) => writer.time(field, eighths / 8),
      })),
      of(texts, (field, value) => ({
        byLibrary: (writer) => asBytes(writer, field, Buffer.from(value)),
        byOurs: (writer) => writer.text(field, value),
      })),
      of(fc.uint8Array({ maxLength: 40 }), (field, value) => ({
        byLibrary: (writer) => asBytes(writer, field, value),
        byOurs: (writer) => writer.hex(field, Buffer.from(value).toString('hex')),
      })),
      of(fc.tuple(uint32, uint32), (field, [high, low]) => ({
        byLibrary: (writer) => asBytes(writer, field, new Uint8Array(Uint32Array.of(high, low).buffer)),
        byOurs: (writer) => writer.eightBytes(field, high, low),
      })),
      of(fc.array(tie('field'), { maxLength: 6 }), (field, fields) => ({
        byLibrary: (writer) => asBytes(writer, field, byLibrary(fields)),
        byOurs: (writer) => {
          const start = writer.begin(field);
          for (const { byOurs } of fields) byOurs(writer);
          writer.end(start);
        },
      })),
      of(fc.array(tie('field'), { maxLength: 3 }), (field, fields) => ({
        byLibrary: (writer) => asBytes(writer, field, byLibrary(fields)),
        byOurs: (writer) => writer.message(field, byLibrary(fields)),
      })),
    ),
  };
});

function byLibrary(fields: readonly Field[]): Uint8Array {
  const writer = new BinaryWriter();
  for (const field of fields) field.byLibrary(writer);
  return writer.finish();
}

test('the fields are those of the library, also after a first message was taken', () => {
  const messages = fc.array(fc.array(anyField, { maxLength: 20 }), { minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(messages, (all) => {
      const writer = new ProtobufWriter();
      for (const fields of all) {
        for (const { byOurs } of fields) byOurs(writer);
        expect(Buffer.from(writer.take()).equals(byLibrary(fields))).toBe(true);
      }
    }),
    { numRuns: runs(2_000) },
  );
});
