// Files of other formats are named in the error with what to do, and no other file is taken for one of them.
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { readSafetensors } from '../../../src/codec/safetensors/read.ts';
import { writeSafetensors } from '../../helpers/safetensors.ts';

const latin1 = (text: string) => Buffer.from(text.padEnd(200, '\x01'), 'latin1');

/** The local header of the first file in a zip archive. */
function zip(name: string): Buffer {
  const header = Buffer.alloc(30);
  header.write('PK\x03\x04\x00\x00', 'latin1');
  header.writeUInt16LE(name.length, 26);
  return Buffer.concat([header, Buffer.from(name), Buffer.alloc(200, 1)]);
}

const safetensors = Buffer.from(
  writeSafetensors({ W_x: { shape: [1], data: Float32Array.of(1) } }),
);

const FILES: [name: string, bytes: Uint8Array, detail: RegExp][] = [
  ['a .pt of torch', zip('archive/data.pkl'), /^Expected a safetensors file\. .*torch\.save .*save_file/],
  ['a .pt of an older torch', latin1('\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.'), /torch\.save/],
  ['a pickle', latin1('\x80\x04\x95\x50\x00\x00\x00\x00\x00\x00\x00}'), /torch\.save/],
  ['a .keras', zip('metadata.json'), /of Keras, .*POST \/v1\/models/],
  ['a .h5', latin1('\x89HDF\r\n\x1a\n'), /of Keras, .*POST \/v1\/models/],
  ['a .npz', zip('W_x.npy'), /of NumPy \(\.npz\).*np\.load\("model\.npz"\)/],
  ['a .npy', latin1('\x93NUMPY\x01\x00v\x00'), /one array of NumPy/],
  ['an .onnx', latin1('\x08\x07\x12\x07pytorch\x1a\x051.13'), /of ONNX.*POST \/v1\/models/],
  ['a .gguf', latin1('GGUF\x03\x00\x00\x00'), /of GGUF/],
  ['another zip', zip('readme.txt'), /a zip archive/],
  ['a compressed file', gzipSync(safetensors), /compressed\. Send it uncompressed/],
  ['a pointer of Git LFS', latin1('version https://git-lfs.github.com/spec/v1\n'), /git lfs pull/],
  ['a page', latin1('\n<!DOCTYPE html><html>'), /an HTML page/],
  ['JSON', latin1('{"W_x": [[1]]}'), /JSON text\. Send it with `Content-Type: application\/json`/],
];

describe('a file of another format is named:', () => {
  test.each(FILES)('%s', (_, bytes, detail) => {
    expect(() => readSafetensors(bytes)).toThrow(detail);
  });
});

test('a truncated safetensors file is not taken for another format, whatever the size of its header', () => {
  const begun = Buffer.alloc(100, 0x20);
  const taken: [headerBytes: number, message: string][] = [];
  for (let headerBytes = 101; headerBytes < 1_000_000; headerBytes += 59) {
    begun.writeBigUInt64LE(BigInt(headerBytes));
    const message = messageOf(() => readSafetensors(begun));
    if (!message.startsWith("The header's size is")) taken.push([headerBytes, message]);
  }
  expect(taken).toEqual([]);
});

/** Of thousands of calls: toThrow() takes many times what they take. */
function messageOf(call: () => unknown): string {
  try {
    call();
    return 'no error';
  } catch (error) {
    return (error as Error).message;
  }
}
