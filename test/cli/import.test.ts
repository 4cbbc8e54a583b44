// carryover import: what it prints, writes and registers, and what it refuses.
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXIT } from '../../src/cli/exit-codes.ts';
import { Ended } from '../../src/cli/io.ts';
import { modelId } from '../../src/models/model-id.ts';
import { BUILT_IN_MODELS } from '../../src/models/models-dir.ts';
import { type TestApp, buildApp } from '../helpers/app.ts';
import { readCells } from '../helpers/cells.ts';
import { carryover } from '../helpers/command-line.ts';
import { sample, testLong } from '../helpers/long.ts';
import { writeSafetensors } from '../helpers/safetensors.ts';

const fixture = (name: string) => join(import.meta.dirname, '../fixtures/pytorch', name);
const GRU = fixture('gru-tails.pt');

let app: TestApp;
const folder = mkdtempSync(join(tmpdir(), 'carryover-import-'));
beforeAll(async () => {
  app = await buildApp();
});
afterAll(() => rmSync(folder, { recursive: true }));

const idOf = (name: string) => modelId(readCells().find((cell) => cell.name === name)!.layers);

describe('what was understood', () => {
  test('the table has each layer, its options, and its tensors with shapes, counts and origins', async () => {
    const { exitCode, stdout, stderr } = await carryover(['import', GRU, '--dry-run']);
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
    const lines = stdout.split('\n').map((line) => line.split(/ {2,}/));
    expect(lines.slice(0, 6)).toEqual([
      ['', 'layer', 'options', 'tensor', 'shape', 'numbers', 'made from'],
      ['0', 'gru', 'reset after, D=5 H=7', 'W_x', '(5, 21)', '105', 'module.rnn.weight_ih_l0 (transposed)'],
      ['', 'W_h', '(7, 21)', '147', 'module.rnn.weight_hh_l0 (transposed)'],
      ['', 'b', '(21,)', '21', 'module.rnn.bias_ih_l0 + module.rnn.bias_hh_l0 (r, z)'],
      ['', 'b_hn', '(7,)', '7', 'module.rnn.bias_hh_l0 (n)'],
      ['', 'all', '280'],
    ]);
    expect(stdout).toContain(`id  ${idOf('gru-tails')}\n`);
    expect(stdout).toMatch(/^self-check {2}the kernels compute the bits of the reference \(simd/m);
  });

  test('a tensor that the file has not is shown as zeros', async () => {
    const { layers } = (await carryover(['import', fixture('gru-no-bias.pt'), '--dry-run', '--json'])).json();
    const origins = layers[0].tensors.map(({ name, from }: { name: string; from?: string }) => [name, from]);
    expect(Object.fromEntries(origins)).toMatchObject({ b: undefined, b_hn: undefined });
    const { stdout } = await carryover(['import', fixture('gru-no-bias.pt'), '--dry-run']);
    expect(stdout).toMatch(/ b_hn .* zeros\n/);
  });

  test('the JSON has layers, counts, the id and the self-check', async () => {
    const { stdout, json } = await carryover(['import', fixture('tokens.pt'), '--dry-run', '--json']);
    expect(stdout.trimEnd().split('\n')).toHaveLength(1);
    const report = json();
    expect(report).toMatchObject({ numbers: 23_733, notes: [], selfCheck: { T: 3, N: 2 } });
    expect(report.layers.map(({ type }: { type: string }) => type)).toEqual(['embedding', 'lstm', 'lstm', 'dense']);
    expect(report.layers[0].tensors).toEqual([{ name: 'E', shape: [29, 16], numbers: 464, from: 'embedding.weight' }]);
  });
});

describe('a reader that ends behind the first lines, as head does,', () => {
  const readFirst = (argv: readonly string[], run: TestApp) => {
    const ending = new AbortController();
    return carryover(argv, { app: run, signal: ending.signal, onOutput: () => ending.abort(new Ended(EXIT.ok)) });
  };

  test('does not keep the file from being registered', async () => {
    expect((await readFirst(['import', fixture('lstm-odd.pt'), '--name', 'cut-off'], app)).exitCode).toBe(0);
    expect((await app.http.inject('/v1/models/cut-off')).json()).toMatchObject({ id: idOf('lstm-odd') });
  });

  test('does not make a comparison succeed', async () => {
    const file = join(folder, 'wrong.json');
    writeFileSync(file, JSON.stringify({ x: [[[1, 2, 3, 4, 5]]], h: [[9, 9, 9, 9, 9, 9, 9]] }));
    expect((await readFirst(['import', GRU, '--check', file], app)).exitCode).toBe(1);
  });
});

describe('a file that is written', () => {
  const files = [
    ...Object.values(BUILT_IN_MODELS).map(({ path }) => path),
    ...readdirSync(fixture('.'))
      .filter((name) => name.endsWith('.pt') && !name.startsWith('refused'))
      .map(fixture),
    ...['keras/scaled-forecast.keras', 'keras/gru-tails.h5', 'onnx/gru-norm-16.onnx', 'onnx/tokens-13.onnx'].map((name) =>
      fixture(`../${name}`),
    ),
  ];

  test.each(sample(files, 4))('importing what was written of %s gives the same id', async (file) => {
    const output = join(folder, `${files.indexOf(file)}.safetensors`);
    const options = file.endsWith('rnn-three-layers.pt') ? ['--activation', 'tanh'] : [];
    const first = (await carryover(['import', file, ...options, '-o', output, '--json'])).json();
    const second = (await carryover(['import', output, '--dry-run', '--json'])).json();
    expect(first.written).toEqual({ path: output, bytes: readFileSync(output).length });
    expect(second.id).toBe(first.id);
    expect(second.numbers).toBe(first.numbers);
  });

  test('a file that exists is replaced with --force only', async () => {
    const output = join(folder, 'exists.safetensors');
    writeFileSync(output, 'mine');
    const refused = await carryover(['import', GRU, '--output', output]);
    expect(refused.exitCode).toBe(73);
    expect(refused.stderr).toContain('it exists. Give another name, or --force to replace it');
    expect(readFileSync(output, 'utf8')).toBe('mine');
    expect((await carryover(['import', GRU, '--output', output, '--force'])).exitCode).toBe(0);
    expect(readFileSync(output).length).toBeGreaterThan(1_000);
  });

  test.each([
    ['none/x.safetensors', (path: string) => `there is no folder ${JSON.stringify(path)}. Create it, or give another name`],
    ['file/x.safetensors', (path: string) => `${JSON.stringify(path)} is no folder. Give another name`],
  ])('%s is not written, as it names no folder', async (name, reason) => {
    writeFileSync(join(folder, 'file'), '');
    const output = join(folder, name);
    const { exitCode, stderr } = await carryover(['import', GRU, '--output', output]);
    expect({ exitCode, stderr }).toEqual({ exitCode: 73, stderr: `carryover: ${JSON.stringify(output)} cannot be written: ${reason(dirname(output))}.\n` });
  });
});

describe('a registration', () => {
  test('the file is registered with its name and options, and the answer is shown', async () => {
    const file = fixture('rnn-three-layers.pt');
    const { exitCode, stdout } = await carryover(['import', file, '--activation', 'tanh', '--name', 'three'], { app });
    expect(exitCode).toBe(0);
    const { id } = app.registry.info('three');
    expect(stdout).toMatch(new RegExp(`registered {2}at http://127.0.0.1:8080\nid +${id}\nnames +three\n`));
    expect(stdout).toContain(`id  ${id}\n`);
  });

  testLong('a file that was read on a thread is sent whole', async () => {
    const { json } = await carryover(['import', fixture('../keras/gru-tails.h5'), '--name', 'keras', '--json'], { app });
    expect(json()).toMatchObject({ id: app.registry.info('keras').id, registered: { names: ['keras'] } });
  });

  test('with --dry-run or --output nothing is sent, and with --url and --output both are done', async () => {
    const output = join(folder, 'both.safetensors');
    expect((await carryover(['import', GRU, '--dry-run', '--url', 'http://127.0.0.1:1'])).exitCode).toBe(0);
    expect((await carryover(['import', GRU, '--output', output])).exitCode).toBe(0);
    const both = await carryover(['import', GRU, '--output', output, '--force', '--url', 'http://127.0.0.1:1', '--json'], {
      app,
    });
    expect(both.json()).toMatchObject({ written: { path: output }, registered: { id: idOf('gru-tails') } });
  });

  test('a service that computes another id is noticed', async () => {
    const other = Response.json({ id: 'sha256:0', names: [], D: 1, H: 1, bytes: 1, created_at: '' });
    const { exitCode, stderr } = await carryover(['import', GRU], { fetch: async () => other });
    expect(exitCode).toBe(70);
    expect(stderr).toContain('they are of different versions');
  });

  test('a refusal of the service ends with its reason and its code', async () => {
    const { exitCode, stderr } = await carryover(['import', GRU, '--name', 'austen'], { app });
    expect({ exitCode, stderr }).toEqual({ exitCode: 73, stderr: expect.stringContaining('[built_in_model]') });
  });
});

describe('a file that is refused', () => {
  test.each([
    ['is missing', join(folder, 'none.pt'), 66, 'there is no such file'],
    ['is a folder', folder, 66, 'it is a folder'],
    ['has no activation', fixture('rnn-three-layers.pt'), 65, '[activation_unconfirmed]'],
    ['is a whole module', fixture('refused-module.pt'), 65, '[model_file_unsupported]'],
    ['is no model', import.meta.filename, 65, '[malformed_model_file]'],
  ])('a file that %s', async (_, file, exitCode, reason) => {
    const refused = await carryover(['import', file, '--dry-run']);
    expect(refused).toMatchObject({ exitCode, stdout: '', stderr: expect.stringContaining(reason) });
    const asJson = await carryover(['import', file, '--dry-run', '--json']);
    expect(JSON.parse(asJson.stderr)).toMatchObject({ error: { exitCode, message: expect.stringContaining(reason) } });
  });

  test('a number beyond float32 is refused by its place', async () => {
    const file = join(folder, 'large.safetensors');
    const tensor = (shape: number[], value: number) => ({
      shape,
      data: new Float32Array(shape.reduce((a, b) => a * b)).fill(value),
    });
    writeFileSync(file, writeSafetensors({ W_x: tensor([1, 1], Infinity), W_h: tensor([1, 1], 1) }));
    const { exitCode, stderr } = await carryover(['import', file, '--dry-run']);
    expect({ exitCode, stderr }).toEqual({ exitCode: 65, stderr: expect.stringContaining('[out_of_range]') });
  });
});
