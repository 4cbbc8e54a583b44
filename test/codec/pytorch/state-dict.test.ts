// Files of torch.save: fixtures that torch wrote, and pickles and archives that it would not write.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { readStoredEntries } from '../../../src/codec/zip/stored-entries.ts';
import { readPickle } from '../../../src/codec/pytorch/pickle.ts';
import { readStateDict } from '../../../src/codec/pytorch/state-dict.ts';
import type { SafeTensor } from '../../../src/codec/safetensors/read.ts';
import { CarryoverError } from '../../../src/errors.ts';
import { runs } from '../../helpers/long.ts';
import { refusalOf } from '../../helpers/refusal.ts';
import { fc } from '../../helpers/seed.ts';

const folder = join(import.meta.dirname, '../../fixtures/pytorch');
const files = readdirSync(folder).filter((name) => name.endsWith('.pt'));
const bytesOf = (name: string) => readFileSync(join(folder, name));
const read = async (bytes: Uint8Array) => readStateDict(await readStoredEntries(bytes));

describe('a file that torch wrote', () => {
  test.each([
    ['tokens', 'F32'], ['lstm-two-layers', 'F32'], ['gru-no-bias', 'F64'], ['half', 'F16'], ['bfloat16', 'BF16'],
  ])('%s has its tensors by name, in their type', async (name, dtype) => {
    const tensors = await read(bytesOf(`${name}.pt`));
    expect([...tensors.values()].every((tensor) => tensor.dtype === dtype)).toBe(true);
    for (const { shape, data } of tensors.values()) expect(data).toHaveLength(shape.reduce((a, b) => a * b, 1));
  });

  test('elements that are not in their order are put there', async () => {
    const { layers } = JSON.parse(readFileSync(join(folder, '../cells/lstm-odd.json'), 'utf8'));
    const tensors = await read(bytesOf('lstm-odd.pt'));
    const W_x: number[][] = layers[0].W_x;
    const transposed = W_x[0]!.map((_, j) => W_x.map((row) => Math.fround(row[j]!)));
    expect([...tensors.get('rnn.weight_ih_l0')!.data]).toEqual(transposed.flat());
  });

  test.each([
    ['refused-module', 'needs "__main__.Module", which is never loaded', 'torch.load("model.pt", weights_only=False).state_dict()'],
    ['refused-list', 'has no dict of tensors', '.state_dict()'],
    ['refused-two-dicts', 'has a dict state_dict and a dict model', 'weights_only=False)["state_dict"], "weights.pt")'],
    ['refused-bytes', 'has the tensor "mask" in a torch.ByteStorage', '["state_dict"]'],
    ['refused-number', 'has "epoch" among its tensors, which is none', 'if torch.is_tensor(value)}, "weights.pt")'],
    ['refused-sparse', 'needs "torch._utils._rebuild_sparse_tensor"', '.state_dict()'],
    ['refused-script', 'is TorchScript', 'torch.save(torch.jit.load("model.pt").state_dict(), "weights.pt")'],
  ])('%s is refused with the reason, and with what makes a file of it that is read', async (name, part, remedy) => {
    const error = await refusalOf(() => read(bytesOf(`${name}.pt`)));
    expect(error.code).toBe('model_file_unsupported');
    expect(error.message).toContain(part);
    expect(error.message).toContain(remedy);
  });

  test('a state dict under a key that is not known is named', async () => {
    const entries = await withPickle('gru-tails.pt', (bytes) => latin1(bytes.toString('latin1').replace('model', 'layer')));
    const error = await refusalOf(() => readStateDict(entries));
    expect(error.code).toBe('model_file_unsupported');
    expect(error.message).toContain('has a dict of tensors as "layer", and is searched for one as state_dict,');
    expect(error.message).toContain('torch.save(torch.load("model.pt", weights_only=False)["layer"], "weights.pt")');
  });

  test('an archive that was compressed anew is refused as such', async () => {
    const entries = await withPickle('tokens.pt', () => Buffer.alloc(0));
    const error = await refusalOf(() => readStateDict(entries));
    expect(error.message).toContain('has its data.pkl compressed or empty');
  });
});

const latin1 = (text: string) => Buffer.from(text, 'latin1');

/** The entries of a fixture with its pickle changed. */
async function withPickle(file: string, change: (bytes: Buffer) => Buffer): Promise<ReadonlyMap<string, Uint8Array>> {
  const entries = await readStoredEntries(bytesOf(file));
  const [name, bytes] = [...entries].find(([entry]) => entry.endsWith('data.pkl'))!;
  return new Map(entries).set(name, change(Buffer.from(bytes)));
}

/** A pickle of these instructions, in text or bytes. */
const pickle = (...parts: (string | number)[]) =>
  Buffer.concat(parts.map((part) => (typeof part === 'number' ? Buffer.of(part) : Buffer.from(part, 'latin1'))));
const run = (bytes: Uint8Array) => readPickle(bytes, { 'safe.make': (args) => args }, (name) => name === 'safe.named', (id) => id);

describe('a pickle', () => {
  test.each([
    ['os.system', pickle(0x80, 2, 'cos\nsystem\n', 'X\x02\0\0\0ls', 0x85, 'R.')],
    ['builtins.eval', pickle(0x80, 4, 0x8c, 8, 'builtins', 0x8c, 4, 'eval', 0x93, ')R.')],
    ['safe.make.__call__', pickle('csafe\nmake.__call__\n', ')R.')],
    ['__proto__.x', pickle('c__proto__\nx\n', ')R.')],
    ['safe.named', pickle('csafe\nnamed\n', ')R.')],
  ])('that calls %s is refused by its name', async (name, bytes) => {
    const error = await refusalOf(() => run(bytes));
    expect(error.code).toBe('model_file_unsupported');
    expect(error.message).toContain(`needs ${JSON.stringify(name)}, which is never loaded`);
  });

  test.each([
    ['makes a value', pickle(0x80, 2, ']', 'K\x01', 'a', '(', 'K\x02M\x00\x01J\xff\xff\xff\xff', 'e.'), [1, 2, 256, -1]],
    ['calls what it may', pickle('csafe\nmake\n', 'N', 0x88, 0x86, 'R.'), [null, true]],
    ['remembers values', pickle('K\x07', 'q\x05', 'h\x05', 0x86, '.'), [7, 7]],
    ['reads long integers', pickle(0x8a, 1, '\xfe', 0x85, '.'), [-2]],
  ])('that %s is read', (_, bytes, value) => {
    expect(run(bytes)).toEqual(value);
  });

  test.each([
    ['ends early', pickle(0x80, 2, '}'), 'ends in the middle'],
    ['has text beyond its end', pickle('X\xff\xff\xff\x7f', 'ab.'), 'ends in the middle'],
    ['pops from an empty stack', pickle('.'), 'stack is empty'],
    ['takes what is below a mark', pickle('K\x01(', 0x86, '.'), 'stack is empty'],
    ['has no mark', pickle('K\x01t.'), 'lacks a mark'],
    ['reads what it did not store', pickle('h\x01.'), 'was not stored'],
    ['sets items of a list', pickle(']K\x01K\x02s.'), 'no dict'],
    ['has half an item', pickle('}(K\x01u.'), 'no dict'],
    ['appends to a dict', pickle('}K\x01a.'), 'no list'],
    ['calls a number', pickle('K\x01)R.'), 'no function'],
    ['names a function by numbers', pickle('K\x01K\x02', 0x93, '.'), 'names no function'],
  ])('that %s is malformed', async (_, bytes, part) => {
    const error = await refusalOf(() => run(bytes));
    expect(error.code).toBe('malformed_model_file');
    expect(error.message).toContain(part);
  });

  test.each([
    ['an instruction that is not read', pickle('i'), '0x69 at byte 0'],
    ['attributes of an object', pickle(']K\x01b.'), 'attributes'],
    ['a newer protocol', pickle(0x80, 6, 'N.'), 'protocol 6'],
    ['a huge integer', pickle(0x8a, 200, '.'), '200 bytes'],
    ['a megabyte', Buffer.alloc(2 ** 20), 'has a pickle of 1048576 bytes'],
  ])('with %s is refused', async (_, bytes, part) => {
    const error = await refusalOf(() => run(bytes));
    expect(error.code).toBe('model_file_unsupported');
    expect(error.message).toContain(part);
  });
});

describe('a dict of tensors', () => {
  /** The pickle of a fixture, whose dict has one more key: what `key` pushes. */
  function withKey(key: Buffer): Promise<ReadonlyMap<string, Uint8Array>> {
    // Before the end: the dict is on the stack.
    return withPickle('lstm-one-unit.pt', (bytes) => Buffer.concat([bytes.subarray(0, -1), key, pickle('Ns.')]));
  }

  test.each([
    // Each level is a pair of the one below: its text would be twice as long.
    ['of pairs of pairs, 60 deep', pickle(']', ...Array.from({ length: 60 }).flatMap(() => ['q\x7f', 'h\x7f', 0x86]))],
    ['of a tuple 100,000 deep', pickle(')', '\x85'.repeat(100_000))],
  ])('with a key %s is refused at once', async (_, key) => {
    const entries = await withKey(key);
    const error = await refusalOf(() => readStateDict(entries));
    expect(error.code).toBe('model_file_unsupported');
    expect(error.message).toContain('has a key that is no text among its tensors');
  });
});

describe('a tensor', () => {
  test('whose shape is changed after it was made keeps the shape that was checked', () => {
    const text = (value: string) => pickle('X', value.length, 0, 0, 0, value).toString('latin1');
    const shape = pickle(']', 'K\x02', 'a', 'q\x01');
    const bytes = pickle(
      '}', 'q\x00', text('w'), 'ctorch._utils\n_rebuild_tensor_v2\n', '((', text('storage'), 'ctorch\nFloatStorage\n',
      text('0'), text('cpu'), 'K\x02', 'tQ', 'K\x00', shape.toString('latin1'), 'K\x01', 0x85, 'tR', 's',
      'h\x01', text('x'), 'a', 'h\x00', '.',
    );
    const entries = new Map([['a/data.pkl', bytes], ['a/data/0', Buffer.alloc(8)]]);
    expect(readStateDict(entries).get('w')!.shape).toEqual([2]);
  });
});

describe('an archive', () => {
  test('whose entries share their bytes is refused before they are all read', async () => {
    const content = Buffer.alloc(1_000, 1);
    const error = await refusalOf(() => readStoredEntries(overlapping(content, 50)));
    expect(error).toMatchObject({ code: 'malformed_model_file' });
    expect(error.message).toContain('its entries overlap');
    expect([...(await readStoredEntries(overlapping(content, 1))).values()].map((bytes) => bytes.length)).toEqual([1_000]);
  });

  test('with a number that was changed is refused by its checksum', async () => {
    const bytes = Buffer.from(bytesOf('lstm-two-layers.pt'));
    const at = bytes.indexOf((await readStoredEntries(bytes)).get('lstm-two-layers/data/0')!);
    bytes[at + 1]! ^= 1;
    const error = await refusalOf(() => readStoredEntries(bytes));
    expect(error.message).toContain('"lstm-two-layers/data/0" has another checksum');
  });
});

/** A zip archive with so many entries of the same bytes. https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT */
function overlapping(content: Buffer, count: number): Buffer {
  const name = (k: number) => Buffer.from(`a/data/${String(k).padStart(3, '0')}`);
  const local = Buffer.alloc(30);
  local.writeUInt32LE(0x04034b50);
  local.writeUInt16LE(name(0).length, 26);
  const directory = Array.from({ length: count }, (_, k) => {
    const head = Buffer.alloc(46);
    head.writeUInt32LE(0x02014b50);
    head.writeUInt32LE(crc32(content), 16);
    head.writeUInt32LE(content.length, 20);
    head.writeUInt32LE(content.length, 24);
    head.writeUInt16LE(name(k).length, 28);
    return Buffer.concat([head, name(k)]);
  });
  const before = Buffer.concat([local, name(0), content]);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50);
  end.writeUInt16LE(count, 8);
  end.writeUInt16LE(count, 10);
  end.writeUInt32LE(Buffer.concat(directory).length, 12);
  end.writeUInt32LE(before.length, 16);
  return Buffer.concat([before, ...directory, end]);
}

/** Numbers may have changed, and are still all there. */
function expectWhole(tensors: ReadonlyMap<string, SafeTensor>): undefined {
  for (const { shape, data } of tensors.values()) expect(data).toHaveLength(shape.reduce((a, b) => a * b, 1));
}

describe('damaged files', () => {
  test('any bytes changed, or the end cut off: read, or refused as such', async () => {
    const originals = files.map(bytesOf);
    const change = fc.tuple(fc.nat(), fc.nat(255));
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...originals),
        fc.array(change, { minLength: 1, maxLength: 8 }),
        fc.option(fc.nat()),
        async (original, changes, cut) => {
          const bytes = Buffer.from(original);
          for (const [at, value] of changes) bytes[at % bytes.length] = value;
          const whole = cut === null ? bytes : bytes.subarray(0, cut % bytes.length);
          const error = await read(whole).then(expectWhole, (error: unknown) => error);
          if (error === undefined) return;
          refused++;
          expect(error).toBeInstanceOf(CarryoverError);
          expect(['malformed_model_file', 'model_file_unsupported']).toContain((error as CarryoverError).code);
        },
      ),
      { numRuns: Number(process.env.FUZZ_RUNS ?? runs(2_000)) },
    );
    expect(refused).toBeGreaterThan(100);
  });

  test('changes within the pickle, which has no checksum', async () => {
    const entries = await readStoredEntries(bytesOf('lstm-two-layers.pt'));
    const name = [...entries.keys()].find((key) => key.endsWith('data.pkl'))!;
    const original = entries.get(name)!;
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(original.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }), (changes) => {
        const bytes = Buffer.from(original);
        for (const [at, value] of changes) bytes[at] = value;
        try {
          expectWhole(readStateDict(new Map(entries).set(name, bytes)));
        } catch (error) {
          expect(error).toBeInstanceOf(CarryoverError);
        }
      }),
      { numRuns: Number(process.env.FUZZ_RUNS ?? runs(5_000)) },
    );
  });
});
