// Damaged and hostile files of Keras: refused with a reason, within bounds of memory and time.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { discardLibrary, loadLibrary } from '../../../../src/codec/hdf5/library.ts';
import { CarryoverError } from '../../../../src/errors.ts';
import { readKeras } from '../../../../src/models/import/keras/read-keras.ts';
import { type LayerToWrite, groupIn, hdf5, kerasFile, zip } from '../../../helpers/keras-files.ts';
import { count, sample } from '../../../helpers/long.ts';
import { SEED } from '../../../helpers/seed.ts';
import { lstm, plain, written } from './stacks.ts';

/** An import thread may take as long as the request, at most a minute; a test has no such patience. */
const FILE_MS_MAX = 15_000;
const FILES = count('KERAS_FILES', { short: 100, long: 250 });

/** Of a file on which the library never ends, as an import thread would be. */
const ENDED = 'ended';

/** What came of the files with these seeds. */
async function readMutated(from: number, to: number): Promise<Map<number, string>> {
  const outcomes = new Map<number, string>();
  for (let next = from; next < to; next = from + outcomes.size) await readOnThread(next, to, outcomes);
  return outcomes;
}

/** Until the thread has read all files, or is ended on one of them. */
async function readOnThread(from: number, to: number, outcomes: Map<number, string>): Promise<void> {
  // The library prints that it gives up.
  const thread = new Worker(new URL('./reading-thread.ts', import.meta.url), { workerData: { from, to }, stderr: true });
  const end = () => {
    outcomes.set(from, ENDED);
    void thread.terminate();
  };
  let timer = setTimeout(end, FILE_MS_MAX);
  thread.on('message', ({ seed, outcome }: { seed: number; outcome: string }) => {
    outcomes.set(seed, outcome);
    from = seed + 1;
    clearTimeout(timer);
    timer = setTimeout(end, FILE_MS_MAX);
  });
  await once(thread, 'exit');
  clearTimeout(timer);
}

describe('damaged files', () => {
  test('any bytes changed, or the end cut off: read, or refused as such', async () => {
    const outcomes = await readMutated(SEED, SEED + FILES);
    const counts = Object.entries(Object.groupBy(outcomes, ([, outcome]) => outcome)).map(([outcome, all]) => [outcome, all!.length]);
    const ended = [...outcomes].flatMap(([seed, outcome]) => (outcome === ENDED ? [seed] : []));
    if (FILES > 1_000) process.stdout.write(`seed ${SEED}: ${JSON.stringify(counts)}, ended: ${ended.join(', ') || 'none'}\n`);
    expect(outcomes.size).toBe(FILES);
    expect([...outcomes].filter(([, outcome]) => outcome.startsWith('fault'))).toEqual([]);
    expect(counts.map(([outcome]) => outcome)).toContain('malformed_model_file');
    // The library is not sure to end; its thread is ended then.
    expect(ended.length).toBeLessThanOrEqual(1 + FILES / 500);
  }, 60_000 + 100 * FILES);
});

const fixture = (name: string) => readFileSync(join(import.meta.dirname, '../../../fixtures/keras', name));

async function refusalOf(bytes: Uint8Array, bytesMax?: number): Promise<CarryoverError> {
  try {
    await readKeras(bytes, bytesMax);
  } catch (error) {
    if (error instanceof CarryoverError) return error;
    throw error;
  }
  throw new Error('It was not refused.');
}

/** An archive with this description. */
async function described(config: string | Uint8Array): Promise<Buffer> {
  const weights = await hdf5((file) => groupIn(file, 'layers'));
  return zip({ 'config.json': Buffer.from(config), 'model.weights.h5': weights });
}

const sequential = (layers: unknown) => JSON.stringify({ class_name: 'Sequential', config: { layers } });
const DEPTH = 100_000;

describe('a description', () => {
  test.each(sample<readonly [string, string, string]>([
    ['of nested arrays', `{"class_name":"Sequential","config":${'['.repeat(DEPTH)}${']'.repeat(DEPTH)}}`, 'has a layer without a class_name'],
    ['of nested models', `${'{"class_name":"Sequential","config":['.repeat(DEPTH)}${']}'.repeat(DEPTH)}`, 'more than 8 deep'],
    ['of a nested call', sequential([]).replace('Sequential', 'Functional').replace('{"layers":[]}', `{"layers":[{"class_name":"LSTM","config":{},"name":"a","inbound_nodes":[{"args":${'['.repeat(DEPTH)}${']'.repeat(DEPTH)}}]}],"input_layers":[["b",0,0]],"output_layers":[["a",0,0]]}`), 'reads 0 tensors'],
    ['that is no JSON', '{"class_name":', 'config.json that is no JSON'],
    ['that is a list', '[]', 'config.json that is no JSON object'],
    ['without a class', '{"__proto__":{"class_name":"Sequential"}}', 'its description has no class_name'],
    ['of a class of every object', '{"class_name":"toString","config":{"layers":[]}}', 'has a model of class "toString"'],
    ['without a config', '{"class_name":"Sequential","__proto__":{"config":{"layers":[]}}}', 'without a list of layers'],
    ['with layers of every object', sequential([{ class_name: 'constructor', config: {} }]), 'Layer "" (constructor) is not computed'],
    ['with a layer called __proto__', sequential([{ class_name: 'LSTM', config: { name: '__proto__', activation: 'tanh', recurrent_activation: 'sigmoid' } }]), 'Layer "__proto__" (LSTM) has no weights'],
    ['with a name of a megabyte', sequential([{ class_name: 'Masking', config: { name: 'x'.repeat(2 ** 20) } }]), `Layer "${'x'.repeat(80)}…" (Masking) skips`],
    ['with a class of a megabyte', sequential([{ class_name: 'X'.repeat(2 ** 20), config: {} }]), `Layer "" (${'X'.repeat(40)}…) is not computed`],
    ['of two thousand layers', sequential(Array.from({ length: 2_000 }, () => ({ class_name: 'Dropout', config: {} }))), 'has 2000 layers in one model'],
    ['of five megabytes', sequential([{ class_name: 'Dropout', config: { name: 'x'.repeat(5 * 2 ** 20) } }]), 'characters in config.json, expected at most 4194304'],
  ], 5))('%s is refused', async (_, config, part) => {
    const error = await refusalOf(await described(config), 2 ** 24);
    expect(error.message).toContain(part);
    expect(error.message.length).toBeLessThan(1_000);
  });

  test('of a circle of layers is refused', async () => {
    const bytes = await kerasFile('a functional .keras of Keras 3', written(lstm(), lstm(), lstm()), {
      model: ({ config }) => {
        const nodesOf = (name: string) => config.layers.find((layer) => layer['name'] === name)!;
        nodesOf('layer_0')['inbound_nodes'] = nodesOf('layer_2')['inbound_nodes'];
      },
    });
    expect((await refusalOf(bytes)).message).toContain('has a circle of layers');
  });

  test('whose constants are a million is refused', async () => {
    const layers = [{ class_name: 'Rescaling', config: { scale: Array.from({ length: 1_000_000 }, () => 1), offset: 0 } }];
    expect((await refusalOf(await described(sequential(layers)), 2 ** 24)).message).toContain('has 1000000 features, expected at most');
  });
});

describe('an HDF5 file', () => {
  test('with a chunk that inflates to much more than it says is refused, within a bound of memory', async () => {
    discardLibrary();
    const { module } = await loadLibrary();
    const error = await refusalOf(fixture('refused-bomb.h5'));
    expect(error.message).toContain('cannot be read');
    expect(module.HEAPU8.length).toBeLessThan(40 * 2 ** 20);
  });

  test('control: with a larger bound, more memory is taken', async () => {
    discardLibrary();
    const { module } = await loadLibrary();
    await readKeras(fixture('refused-bomb.h5'), 2 ** 28);
    expect(module.HEAPU8.length).toBeGreaterThan(60 * 2 ** 20);
    discardLibrary();
  });

  test('with a text in a heap whose objects lead to no next is refused before the library goes along them', async () => {
    const bytes = fixture('lstm-tails.h5');
    const heap = bytes.indexOf('GCOL');
    let at = heap + 16;
    while (bytes.readUInt16LE(at) !== 0) at += 16 + 8 * Math.ceil(Number(bytes.readBigUInt64LE(at + 8)) / 8);
    bytes.writeBigUInt64LE(0n, at + 8);
    expect((await refusalOf(bytes)).message).toContain('has a text of 0 bytes in a heap of');
  });

  test('with a million heaps in each other is refused', async () => {
    const heap = Buffer.alloc(16);
    heap.write('GCOL');
    heap.writeUInt8(1, 8);
    const bytes = Buffer.concat([fixture('lstm-tails.h5').subarray(0, 8), ...Array.from({ length: 3_000 }, () => heap)]);
    for (let at = 8; at < bytes.length - 16; at += 16) bytes.writeBigUInt64LE(BigInt(bytes.length - at), at + 8);
    expect((await refusalOf(bytes)).code).toBe('malformed_model_file');
  });

  test.each(sample<readonly [string, string[], string]>([
    ['names of a megabyte', ['x'.repeat(2 ** 20)], 'has no path'],
    ['names of many parts', ['a/'.repeat(40)], 'has no path'],
    ['a hundred thousand names', Array.from({ length: 100_000 }, (_, k) => `${k}`), 'of 100000 texts'],
    ['other names', ['dense/other'], 'lacks the dataset'],
    ['names of another meaning', ['dense/bias:0'], 'where its kernel is expected'],
    ['two names for one tensor', ['a', 'b'], 'has 2 tensors, "a", "b" … in the file; expected 1: kernel'],
  ], 2))('with %s of its tensors is refused', async (_, names, part) => {
    const dense = { class_name: 'Dense', config: { name: 'dense', units: 1, activation: 'linear', use_bias: false } };
    const bytes = await hdf5((file) => {
      file.create_attribute('model_config', sequential([dense]));
      groupIn(file, 'model_weights/dense').create_attribute('weight_names', names.map((name) => name.replace('\0', '\\0')));
    });
    expect((await refusalOf(bytes)).message).toContain(part);
  });

  test('with a null in the name of a layer is refused', async () => {
    const bytes = await hdf5((file) => {
      file.create_attribute('model_config', sequential([{ class_name: 'Embedding', config: { name: 'a\0b' } }]));
    });
    expect((await refusalOf(bytes)).message).toContain('has no path "model_weights/a\\u0000b"');
  });

  test('with groups in a circle is refused', async () => {
    const layers: LayerToWrite[] = written(lstm());
    const bytes = await kerasFile('a .keras of Keras 3', [...layers.slice(0, 1), { ...layers[1]!, parts: [] }], {
      weights: (file) => {
        groupIn(file, 'layers/lstm').create_hard_link('/layers', 'cell');
        groupIn(file, 'layers').create_hard_link('/layers', 'vars');
      },
    });
    expect((await refusalOf(bytes)).message).toContain('tensors at "layers/lstm/cell/vars", expected 3');
    expect((await refusalOf(fixture('refused-cycle.h5'))).message).toContain('has no path');
  });

  test('whose first layer is not of Keras is refused without its weights', async () => {
    const bytes = await kerasFile('a .h5 of Keras 2', [plain('Lambda')]);
    expect((await refusalOf(bytes)).message).toContain('is Python code');
  });
});
