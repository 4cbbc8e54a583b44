// Files with layers over HTTP: whatever the names, a stack of layers is the model that it is in JSON.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createLogger } from '../../src/logging.ts';
import { buildApp } from '../helpers/app.ts';
import {
  type FrameworkFile,
  type LayerJson,
  kerasBiases,
  kerasFile,
  randomLayers,
  randomOf,
  torchBiases,
  torchFile,
} from '../helpers/framework-files.ts';
import { runs } from '../helpers/long.ts';
import { writeSafetensors } from '../helpers/safetensors.ts';
import { fc } from '../helpers/seed.ts';

const app = await buildApp();

/** @param query of the address, e.g. { layers: '[…]' } */
async function register(tensors: FrameworkFile['tensors'], query: Record<string, string> = {}, metadata?: Record<string, string>) {
  const response = await app.http.inject({
    method: 'POST',
    url: `/v1/models?${new URLSearchParams(query)}`,
    headers: { 'content-type': 'application/octet-stream' },
    payload: Buffer.from(writeSafetensors(tensors, metadata)),
  });
  return { status: response.statusCode, body: response.json() };
}

async function idOf(layers: readonly LayerJson[]): Promise<string> {
  const { status, body } = await app.post('/v1/models', { layers });
  expect(status, JSON.stringify(body)).toBeLessThan(300);
  return body.id;
}

async function expectSame(layers: readonly LayerJson[], file: FrameworkFile, isInMetadata: boolean): Promise<void> {
  const description = JSON.stringify(file.layers);
  const { status, body } = isInMetadata
    ? await register(file.tensors, {}, { 'carryover.layers': description })
    : await register(file.tensors, { layers: description });
  expect(status, `${JSON.stringify(body)} ${description}`).toBeLessThan(300);
  expect(body.id, description).toBe(await idOf(layers));
  await app.http.inject({ method: 'DELETE', url: `/v1/models/${body.id}` });
}

describe('a random stack of layers', () => {
  test('a file of torch with a description is the model of the same layers in JSON', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const random = randomOf(seed);
        const layers = randomLayers(random, { biasesOf: torchBiases });
        await expectSame(layers, torchFile(layers, random), random.chance());
      }),
      { numRuns: runs(200) },
    );
  });

  test('a file of Keras with a description is the model of the same layers in JSON', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const random = randomOf(seed);
        const layers = randomLayers(random, { biasesOf: kerasBiases });
        await expectSame(layers, kerasFile(layers, random), random.chance());
      }),
      { numRuns: runs(200) },
    );
  });

  test('names of torch alone tell an embedding, a module of recurrent layers and a linear head', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const random = randomOf(seed);
        const layers = randomLayers(random, { biasesOf: torchBiases, isPlain: true });
        const { tensors } = torchFile(layers, random, false);
        const isRnn = layers.some(({ type }) => type === 'rnn');
        if (isRnn) expect((await register(tensors)).body.code).toBe('activation_unconfirmed');
        const { status, body } = await register(tensors, isRnn ? { activation: 'tanh' } : {});
        expect(status, JSON.stringify(body)).toBeLessThan(300);
        expect(body.id).toBe(await idOf(layers));
        await app.http.inject({ method: 'DELETE', url: `/v1/models/${body.id}` });
      }),
      { numRuns: runs(150) },
    );
  });

  test('names of Keras alone tell one recurrent layer, if its activation and the head are stated, and else are refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), async (seed) => {
        const random = randomOf(seed);
        const layers = randomLayers(random, { biasesOf: kerasBiases, isPlain: true });
        const file = kerasFile(layers, random);
        const head = file.layers.find(({ type }) => type === 'dense');
        const readout: Record<string, string> = head ? { readout: String(head['name']) } : {};
        const recurrent = layers.filter((layer) => 'W_x' in layer);
        const [first] = recurrent as [(typeof recurrent)[0]];
        const isUntold =
          recurrent.length > 1 || (first.type === 'gru' && !first.b) || (first.backward !== undefined && !head);
        const { status, body } = await register(file.tensors, { activation: 'tanh', ...readout });
        // A number is also the name of the kernel of a Dense.
        if (recurrent.length === 1 && 'layers/embedding/vars/0' in file.tensors) {
          expect(['unknown_tensors', 'layers_unconfirmed']).toContain(body.code);
          return;
        }
        if (isUntold) {
          expect(body).toMatchObject({ status: 422, code: 'layers_unconfirmed' });
          return;
        }
        expect(status, JSON.stringify(body)).toBeLessThan(300);
        expect(body.id).toBe(await idOf(layers));
        const unsaid = await register(file.tensors, readout);
        expect(unsaid.body).toMatchObject({ status: 422, code: 'activation_unconfirmed' });
        await app.http.inject({ method: 'DELETE', url: `/v1/models/${body.id}` });
      }),
      { numRuns: runs(150) },
    );
  });

  test('control: gates in another order, or a matrix that is not transposed, are another model', async () => {
    const W = [[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]];
    const gru: LayerJson = { type: 'gru', W_x: W, W_h: W, b: [1, 2, 3, 4, 5, 6] };
    const { tensors, layers } = kerasFile([gru], randomOf(1));
    const kernel = Object.keys(tensors).find((name) => /kernel|vars.0/.test(name))!;
    const other = { ...tensors, [kernel]: { shape: [2, 6], data: Float32Array.from(W.flat()) } };
    const description = JSON.stringify(layers.map((layer) => ({ ...layer, reset: 'before' })));
    const [right, wrong] = [await register(tensors, { layers: description }), await register(other, { layers: description })];
    expect(right.body.id).toBe(await idOf([{ ...gru, reset: 'before' }]));
    expect(wrong.body.id).toMatch(/^sha256:/);
    expect(wrong.body.id).not.toBe(right.body.id);
  });
});

describe('registration', () => {
  const lstm: LayerJson = { type: 'lstm', W_x: [[1, 2, 3, 4]], W_h: [[5, 6, 7, 8]], b: [1, 1, 1, 1], b_h: [0, 0, 0, 0] };
  const softmax: LayerJson = { type: 'dense', W: [[1, 2]], activation: 'softmax' };
  const { tensors } = torchFile([lstm, softmax], randomOf(3), false);

  test('the answer says what was understood, and which tensors each is made of', async () => {
    const names = Object.keys(tensors);
    const [path, head] = [/(.*)\.weight_ih/, /(.*)\.weight$/].map((pattern) => names.map((name) => pattern.exec(name)?.[1]).find(Boolean)!);
    const suffix = names.some((name) => name.endsWith('_l0')) ? '_l0' : '';
    const layers = [{ type: 'lstm', name: path }, { type: 'dense', name: head, activation: 'softmax' }];
    const { status, body } = await register(tensors, { layers: JSON.stringify(layers), name: 'described' });
    expect(status).toBe(201);
    expect(body).toMatchObject({
      names: ['described'],
      layers: [
        { type: 'lstm', D: 1, H: 1, direction: 'forward' },
        { type: 'dense', I: 1, O: 2, activation: 'softmax' },
      ],
      tensors: {
        'layers.0.W_x': `${path}.weight_ih${suffix} (transposed)`,
        'layers.0.W_h': `${path}.weight_hh${suffix} (transposed)`,
        'layers.0.b': `${path}.bias_ih${suffix} + ${path}.bias_hh${suffix}`,
        'layers.1.W': `${head}.weight (transposed)`,
      },
    });
    const read = await app.http.inject({ method: 'GET', url: '/v1/models/described' });
    expect(read.json()).not.toHaveProperty('tensors');
    const alone = await register(tensors);
    expect(alone.body).toMatchObject({ O: 2, layers: [{ type: 'lstm' }, { type: 'dense', activation: 'linear' }] });
    expect(alone.body.id).not.toBe(body.id);
  });

  test('the description of the OpenAPI document is one', async () => {
    const document = (await app.http.inject({ method: 'GET', url: '/openapi.json' })).json();
    const parameters: { name: string; description: string }[] = document.paths['/v1/models'].post.parameters;
    const [, example] = /E\.g\. `(.*)`/.exec(parameters.find(({ name }) => name === 'layers')!.description)!;
    const stack: LayerJson[] = [lstm, softmax];
    const file = torchFile(stack, randomOf(8), false);
    expect(file.layers.map(({ name }) => String(name).split('.').at(-1))).toEqual(['lstm', 'head']);
    const { body } = await register(file.tensors, { layers: example! });
    expect(body.id).toBe(await idOf(stack));
  });

  test('the description may stand in two places, if it is the same', async () => {
    const description = '[{"type":"lstm","name":"nope"}]';
    const other = await register(tensors, { layers: '[]' }, { 'carryover.layers': description });
    expect(other.body).toMatchObject({ status: 400, code: 'invalid_request' });
    expect(other.body.detail).toMatch(/The address says layers "\[\]", the __metadata__ of the file/);
    const same = await register(tensors, { layers: description }, { 'carryover.layers': description });
    expect(same.body).toMatchObject({ status: 422, code: 'unknown_tensors' });
  });

  test('a body in JSON has no description beside it', async () => {
    const { body } = await app.post('/v1/models?layers=[]', { layers: [lstm] });
    expect(body).toMatchObject({ status: 400, code: 'invalid_request' });
    expect(body.detail).toMatch(/describes the layers of a safetensors file; in JSON, expected the layers as/);
  });

  test('a description that is no description is refused with 400, one that the file does not fit with 422', async () => {
    for (const layers of ['{', '[]', '{}', '[{}]', '[{"type":"lstm"},null]', 'null', '"lstm"']) {
      expect((await register(tensors, { layers })).body, layers).toMatchObject({ status: 400, code: 'invalid_request' });
    }
    const embedding = [{ type: 'lstm', name: 'lstm' }, { type: 'embedding', name: 'head' }];
    const { body } = await register(tensors, { layers: JSON.stringify(embedding) });
    expect(body.status).toBeGreaterThanOrEqual(400);
    expect(body.status).toBeLessThan(500);
  });

  test('a model without a recurrent layer is refused', async () => {
    const dense = torchFile([softmax], randomOf(5), false);
    const { body } = await register(dense.tensors, { layers: JSON.stringify(dense.layers) });
    expect(body).toMatchObject({ status: 400, code: 'invalid_request' });
    expect(body.detail).toMatch(/at least one layer of type rnn, gru or lstm/);
  });

  test('a file of no format that is read is refused, and told from a damaged file of safetensors', async () => {
    const post = async (payload: Buffer) => {
      const headers = { 'content-type': 'application/octet-stream' };
      return (await app.http.inject({ method: 'POST', url: '/v1/models', headers, payload })).json();
    };
    const foreign = await post(Buffer.from('# A page of text'));
    expect(foreign).toMatchObject({ status: 400, code: 'malformed_model_file' });
    expect(foreign.detail).toMatch(/first bytes are 23 20 41 20 .*: expected safetensors, .* ONNX, /);
    expect(await post(Buffer.alloc(64))).toMatchObject({ code: 'malformed_model_file' });
    expect(await post(Buffer.from('GGUF\x03\x00\x00\x00\x01'))).toMatchObject({ code: 'malformed_safetensors', detail: expect.stringContaining('of GGUF') });
    const cut = await post(Buffer.from(writeSafetensors({ W_x: { shape: [1], data: Float32Array.of(1) } }).slice(0, 20)));
    expect(cut).toMatchObject({ status: 400, code: 'malformed_safetensors' });
  });

  test('numbers that are no float32 are refused with their place in the file', async () => {
    const [name] = Object.keys(tensors).filter((other) => /weight_hh/.test(other));
    const infinite = { ...tensors, [name!]: { shape: [4, 1], data: Float64Array.of(0, 1e39, 0, 0) } };
    const { body } = await register(infinite);
    expect(body).toMatchObject({ status: 422, code: 'out_of_range' });
    expect(body.detail).toBe(`Tensor "${name}" is 1e+39 at [1, 0], expected a finite float32, whose largest magnitude is 3.4028235e38.`);
  });
});

describe('large files, which workers convert', () => {
  const D = 70;
  const H = 160;
  const large = (type: 'gru' | 'lstm', gates: number, biases: number): LayerJson[] => {
    const { numbers, matrix } = randomOf(gates);
    const direction = () => ({
      W_x: matrix(D, gates * H),
      W_h: matrix(H, gates * H),
      ...(biases > 0 && { b: numbers(gates * H) }),
      ...(biases > 1 && { b_h: numbers(gates * H) }),
    });
    return [{ type, ...direction(), direction: 'bidirectional', backward: direction() }, { type: 'dense', W: matrix(2 * H, 300), activation: 'softmax' }];
  };

  test.each([
    ['a GRU of torch', large('gru', 3, 2), torchFile],
    ['an LSTM of torch', large('lstm', 4, 2), torchFile],
    ['a GRU of Keras', large('gru', 3, 2), kerasFile],
    ['an LSTM of Keras', large('lstm', 4, 1), kerasFile],
  ] as const)('%s is the model that it is in JSON, in float32 and in float64', async (_, layers, write) => {
    const id = await idOf(layers);
    // Which tensors are float64 is random.
    for (const seed of [1, 2, 3]) {
      const file = write(layers, randomOf(seed));
      const { status, body } = await register(file.tensors, { layers: JSON.stringify(file.layers) });
      expect(status, JSON.stringify(body)).toBe(200);
      expect(body.id).toBe(id);
    }
  });

  test('a number that is not finite is found at its place in the file', async () => {
    const file = kerasFile(large('gru', 3, 2), randomOf(4));
    const name = Object.keys(file.tensors).find((other) => other.includes('forward') && /recurrent_kernel|vars.1/.test(other))!;
    const { shape, data } = file.tensors[name]!;
    const damaged = Float32Array.from(data as Float32Array);
    damaged[5 * 3 * H + 7] = NaN;
    const { body } = await register({ ...file.tensors, [name]: { shape, data: damaged } }, { layers: JSON.stringify(file.layers) });
    expect(body).toMatchObject({ status: 422, code: 'out_of_range' });
    expect(body.detail).toContain(`Tensor "${name}" is NaN at [5, 7], expected`);
  });
});

describe('MODELS_DIR', () => {
  test('files with layers are loaded as their metadata describes them, and the log says what was understood', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'models-'));
    const random = randomOf(11);
    const first = randomLayers(random, { biasesOf: torchBiases });
    const second = randomLayers(random, { biasesOf: kerasBiases });
    const unordered = { ...torchModule('lstm1.'), ...torchModule('lstm2.') };
    const write = (name: string, { tensors, layers }: FrameworkFile) => {
      const metadata = layers.length > 0 ? { 'carryover.layers': JSON.stringify(layers) } : undefined;
      writeFileSync(join(folder, `${name}.safetensors`), writeSafetensors(tensors, metadata));
    };
    write('torch', torchFile(first, random));
    write('keras', kerasFile(second, random));
    write('unordered', { tensors: unordered, layers: [] });
    const lines: any[] = [];
    const logger = createLogger('info', { write: (line) => void lines.push(JSON.parse(line)) });
    const loaded = await buildApp({ MODELS_DIR: folder }, { logger });
    rmSync(folder, { recursive: true });
    const ids = [await idOf(first), await idOf(second)];
    expect([loaded.registry.info('torch').id, loaded.registry.info('keras').id]).toEqual(ids);
    const entry = lines.find(({ msg, name }) => msg === 'model loaded' && name === 'torch');
    expect(entry.layers.map(({ type }: { type: string }) => type)).toEqual(first.map(({ type }) => type));
    expect(Object.keys(entry.tensors)).toContain(`layers.${first.findIndex((layer) => 'W_x' in layer)}.W_x`);
    const skipped = lines.find(({ msg }) => msg === 'model file skipped');
    expect(skipped.path).toBe(join(folder, 'unordered.safetensors'));
    expect(skipped.reason).toMatch(/recurrent layers "lstm1", "lstm2", and names do not tell in which order.*"carryover\.layers"/);
  });
});

function torchModule(prefix: string): FrameworkFile['tensors'] {
  const tensor = () => ({ shape: [4, 1], data: new Float32Array(4) });
  return { [`${prefix}weight_ih_l0`]: tensor(), [`${prefix}weight_hh_l0`]: tensor() };
}
