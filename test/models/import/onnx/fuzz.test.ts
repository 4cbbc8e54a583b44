// Damaged ONNX files are read whole, or refused with a reason: never with another error, and never for long. Each is one
// that torch or a test has written, with some of its bytes changed. ONNX_FILES=100000 is the long form, npm run test:onnx.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CarryoverError } from '../../../../src/errors.ts';
import { importFound } from '../../../../src/models/import/checkpoint.ts';
import { readOnnx } from '../../../../src/models/import/onnx/read-onnx.ts';
import { onnxFile } from '../../../helpers/onnx-graph.ts';
import { type Random, randomOf } from '../../../helpers/framework-files.ts';
import { layersOf } from '../../../helpers/model-layers.ts';
import { SEED } from '../../../helpers/seed.ts';
import { exportedFiles } from './exported.ts';

const FILES = Number(process.env.ONNX_FILES ?? 2_000);
/** Of one file, many times what any takes. */
const READ_MS_MAX = 2_000;
const CODES = [
  'malformed_model_file',
  'model_file_unsupported',
  'shape_mismatch',
  'limit_exceeded',
  'out_of_range',
  'invalid_request',
];

const cell = (name: string) =>
  JSON.parse(readFileSync(join(import.meta.dirname, '../../../fixtures/cells', `${name}.json`), 'utf8')).layers;
const FILES_WRITTEN = ['scaled-forecast', 'rnn-reverse', 'gru-tails', 'lstm-one-unit', 'rnn-three-layers'];
const sources: readonly Uint8Array[] = [
  ...exportedFiles().map(({ bytes }) => bytes),
  ...FILES_WRITTEN.flatMap((name) => ([0, 1] as const).map((layout) => onnxFile(cell(name), { layout }))),
];

const MUTATIONS: readonly ((bytes: Buffer, random: Random) => Buffer)[] = [
  // One bit.
  (bytes, { pick }) => {
    const at = pick(bytes.length);
    bytes[at]! ^= 1 << pick(8);
    return bytes;
  },
  // A byte that is a length, a tag or a small number somewhere.
  (bytes, { pick, oneOf }) => {
    bytes[pick(bytes.length)] = oneOf([0, 1, 2, 3, 0x0a, 0x12, 0x7f, 0x80, 0xff]);
    return bytes;
  },
  // A length or a number of many bytes: 2^31, 2^32 - 1, -1.
  (bytes, { pick, oneOf }) => {
    const varint = oneOf(['8080808008', 'ffffffff0f', 'ffffffffffffffffff01', 'ffffffffffffffffffff7f']);
    const at = pick(bytes.length);
    return Buffer.concat([bytes.subarray(0, at), Buffer.from(varint, 'hex'), bytes.subarray(at + 1)]);
  },
  (bytes, { pick }) => bytes.subarray(0, pick(bytes.length)),
  // A part twice, left out, or in another place.
  (bytes, { pick, oneOf }) => {
    const [from, to] = [pick(bytes.length), pick(bytes.length)];
    const part = bytes.subarray(from, from + pick(200));
    const rest = oneOf([bytes, Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + part.length)])]);
    return Buffer.concat([rest.subarray(0, to), oneOf([part, Buffer.alloc(0)]), rest.subarray(to)]);
  },
  // A name or an operator for another of the same length.
  (bytes, { oneOf }) => {
    const [word, other] = oneOf([
      ['LSTM', 'Loop'],
      ['Gemm', 'LSTM'],
      ['Slice', 'Split'],
      ['MatMul', 'Gather'],
      ['Add', 'Sub'],
      ['perm', 'axes'],
      ['_output_0', '_output_1'],
      ['hidden_size', 'hidden_sizf'],
    ]);
    const at = bytes.indexOf(word);
    if (at >= 0) bytes.write(other, at);
    return bytes;
  },
];

/** The codes with which they are refused; `read` of those that are read. */
function readAll(count: number, seed: number): Map<string, number> {
  const random = randomOf(seed);
  const results = new Map<string, number>();
  for (let i = 0; i < count; i++) {
    let bytes: Buffer = Buffer.from(random.oneOf(sources));
    for (let changes = 1 + random.pick(3); changes > 0 && bytes.length > 0; changes--) {
      bytes = random.oneOf(MUTATIONS)(bytes, random);
    }
    const start = performance.now();
    const result = readOne(bytes, `file ${i} of seed ${seed}`);
    expect(performance.now() - start, `file ${i} of seed ${seed}`).toBeLessThan(READ_MS_MAX);
    results.set(result, (results.get(result) ?? 0) + 1);
  }
  return results;
}

function readOne(bytes: Uint8Array, title: string): string {
  try {
    layersOf(importFound(readOnnx(bytes)).layers);
    return 'read';
  } catch (error) {
    if (error instanceof CarryoverError) return error.code;
    throw new Error(`${title} is refused with another error`, { cause: error });
  }
}

test(`${FILES} damaged files are read or refused`, () => {
  const results = readAll(FILES, SEED);
  expect(CODES).toEqual(expect.arrayContaining([...results.keys()].filter((result) => result !== 'read')));
  // Not all are refused for the same: the reader gets far into them.
  for (const result of ['read', 'malformed_model_file', 'model_file_unsupported']) {
    expect(results.get(result), result).toBeGreaterThan(FILES / 100);
  }
});
