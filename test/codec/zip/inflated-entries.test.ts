// Entries of zip archives: those of Keras, and what hostile archives say of themselves.
import { describe, expect, test } from 'vitest';
import { readInflatedEntries } from '../../../src/codec/zip/inflated-entries.ts';
import { zip } from '../../helpers/keras-files.ts';

const content = Buffer.alloc(50_000, 'carryover');
const read = (bytes: Buffer, bytesMax = 2 ** 20) => readInflatedEntries(bytes, ['a', 'b'], bytesMax);
const CENTRAL = Buffer.from('PK\x01\x02');

/** Every byte at this offset of each header, local and central. */
function withHeaders(bytes: Buffer, offset: number, value: number): Buffer {
  const changed = Buffer.from(bytes);
  changed[offset] = value;
  for (let at = changed.indexOf(CENTRAL); at >= 0; at = changed.indexOf(CENTRAL, at + 4)) changed[at + offset + 2] = value;
  return changed;
}

/** With the first record of the directory so many times. */
function listed(bytes: Buffer, times: number): Buffer {
  const [start, end] = [bytes.indexOf(CENTRAL), bytes.length - 22];
  const directory = Buffer.concat(Array.from({ length: times }, () => bytes.subarray(start, end)));
  const tail = Buffer.from(bytes.subarray(end));
  tail.writeUInt16LE(times, 8);
  tail.writeUInt16LE(times, 10);
  tail.writeUInt32LE(directory.length, 12);
  return Buffer.concat([bytes.subarray(0, start), directory, tail]);
}

describe('a zip archive', () => {
  test('has the entries that are asked for, inflated', async () => {
    const entries = await read(zip({ a: { content, deflates: true }, b: content, c: Buffer.from('not read') }));
    expect([...entries.keys()]).toEqual(['a', 'b']);
    expect(Buffer.from(entries.get('a')!)).toEqual(content);
    expect(Buffer.from(entries.get('b')!)).toEqual(content);
  });

  test.each([
    ['is larger than it may be', zip({ a: { content, deflates: true } }), 422, 'says that "a" has 50000 bytes inflated; expected at most 49999 in all'],
    ['is larger than it may be with the entry before', zip({ b: Buffer.alloc(10), a: { content, deflates: true } }), 422, '"a" has 50000'],
    ['states less than it inflates to', zip({ a: { content, deflates: true, uncompressedSize: 9 } }), 400, '"a" has another size than it states'],
    ['states more than it inflates to', zip({ a: { content: Buffer.alloc(9), deflates: true, uncompressedSize: 10 } }), 400, '"a" has another size'],
    ['is encrypted', withHeaders(zip({ a: { content: Buffer.alloc(9), deflates: true } }), 6, 1), 422, 'has its entry "a" encrypted'],
    ['is compressed by another method', withHeaders(zip({ a: Buffer.alloc(9) }), 8, 12), 422, 'by method 12'],
    ['is there twice', listed(zip({ a: Buffer.alloc(9) }), 2), 400, 'it has two entries "a"'],
    ['is there very often', listed(zip({ c: content }), 2_000), 400, 'its entries overlap'],
    ['is one of too many', listed(zip({ c: Buffer.alloc(0) }), 5_000), 422, 'has 5000 entries'],
    ['ends early', zip({ a: { content, deflates: true } }).subarray(0, 60), 400, 'not a whole one'],
    ['has other bytes', withByte(zip({ a: content.subarray(0, 40_000) }), 5_000), 400, '"a" has another checksum'],
  ])('whose entry %s is refused', async (_, bytes, status, part) => {
    const error = await read(bytes, 49_999).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ kind: { status }, message: expect.stringContaining(part) });
  });
});

function withByte(bytes: Buffer, at: number): Buffer {
  const changed = Buffer.from(bytes);
  changed[at]! ^= 1;
  return changed;
}
