// The commands that call a service: models, sessions, step and generate.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ALPHABETS } from '../../src/cli/generate/alphabet.ts';
import { type TestApp, buildApp } from '../helpers/app.ts';
import { type RunOptions, carryover, interruptible } from '../helpers/command-line.ts';

let app: TestApp;
const folder = mkdtempSync(join(tmpdir(), 'carryover-cli-'));
beforeAll(async () => {
  app = await buildApp();
  await app.post('/v1/models', { name: 'plain', weights: { W_x: [[0.5], [1]], W_h: [[0.8]] } });
  await app.post('/v1/models', {
    name: 'wide',
    weights: { W_x: [Array(40).fill(0.5)], W_h: Array(40).fill(Array(40).fill(0)) },
  });
});
afterAll(() => rmSync(folder, { recursive: true }));

const run = (line: string, options: RunOptions = {}) => carryover(line.split(' '), { app, ...options });

function fileOf(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe('models', () => {
  test('lists all models, as a table and as JSON', async () => {
    const { stdout } = await run('models');
    expect(stdout).toMatch(/^name +id +layers +sizes +bytes\n/);
    expect(stdout).toMatch(/^austen +sha256:d957ed7e50d6… +embedding → lstm → lstm → dense +D=1 H=128 O=75 +[\d,]+$/m);
    expect(stdout).toMatch(/^plain +sha256:\w{12}… +rnn +D=2 H=1 +[\d,]+$/m);
    const models = (await run('models list --json')).json() as { names: string[] }[];
    expect(models.map(({ names }) => names[0])).toEqual(
      expect.arrayContaining(['austen', 'plain', 'sunspots', 'weather', 'wide']),
    );
  });

  test('follows all pages of a list', async () => {
    const pages = [{ models: [{ id: 'a' }], next: 'c1' }, { models: [{ id: 'b' }] }];
    const cursors: (string | null)[] = [];
    const fetch = async (url: unknown) => {
      cursors.push((url as URL).searchParams.get('cursor'));
      return Response.json(pages[cursors.length - 1]);
    };
    expect((await run('models --json', { fetch })).json()).toEqual([{ id: 'a' }, { id: 'b' }]);
    expect(cursors).toEqual([null, 'c1']);
  });

  test('shows, names and deletes a model', async () => {
    const { id } = app.registry.info('plain');
    expect((await run('models name other plain')).stdout).toBe(`other is ${id}\n`);
    expect((await run('models show other')).stdout).toMatch(new RegExp(`^id +${id}\nnames +plain, other\nlayers +rnn\n`));
    await app.post('/v1/models', { name: 'gone', weights: { W_x: [[3]], W_h: [[0.8]] } });
    expect((await run('models delete gone --json')).json()).toEqual({ deleted: 'gone' });
    expect(await run('models show gone')).toMatchObject({
      exitCode: 66,
      stderr: expect.stringContaining('[model_not_found]'),
    });
  });
});

describe('sessions', () => {
  test('creates, lists, shows, forks and deletes a session', async () => {
    const id = (await run('sessions create --model plain --rows 2 --keep 1')).stdout.trim();
    expect((await run('sessions --model plain')).stdout).toMatch(new RegExp(`^${id} +sha256:\\w{12}… +2 +0 +0 +20`, 'm'));
    await run(`step --session ${id} [[1,1],[0,0]]`);
    const shown = (await run(`sessions show ${id}`)).stdout;
    expect(shown).toMatch(/^t +1 \(version 1\)$/m);
    expect(shown).toMatch(/\n\nh \(2, 1\)\n {2}n +0\n {2}0 +0\.905\d+\n {2}1 +0\n$/);
    const fork = (await run(`sessions fork ${id}`)).stdout.trim();
    expect((await run(`sessions show ${fork} --json`)).json()).toMatchObject({ id: fork, t: 1, N: 2 });
    expect((await run(`sessions delete ${fork}`)).stdout).toBe(`${fork} is deleted\n`);
    expect(await run(`sessions show ${fork}`)).toMatchObject({
      exitCode: 66,
      stderr: expect.stringContaining('[session_gone]'),
    });
  });
});

test.each(['sessions show', 'sessions fork', 'sessions delete', 'sessions show --json', 'step 1 --session'])(
  'an id that begins with a dash is no option of %s',
  async (command) => {
    const { exitCode, stderr } = await run(`${command} -hU9YwpHwiPjOYfoxLwgwA`);
    expect({ exitCode, stderr }).toEqual({ exitCode: 66, stderr: expect.stringContaining('[session_not_found]') });
  },
);

describe('step', () => {
  test.each([
    ['a number', 'sunspots', '0.58', [[0.58]], 'step'],
    ['a row', 'plain', '[1,2]', [[1, 2]], 'step'],
    [
      'rows',
      'plain',
      '[[1,2],[3,4]]',
      [
        [1, 2],
        [3, 4],
      ],
      'step',
    ],
    ['a sequence', 'plain', '[[[1,2]],[[3,4]]]', [[[1, 2]], [[3, 4]]], 'sequence'],
    ['a row number', 'austen', '49', [49], 'step'],
    ['row numbers', 'austen', '[49,50]', [49, 50], 'step'],
    ['a sequence of row numbers', 'austen', '[[49],[50]]', [[49], [50]], 'sequence'],
  ])('%s is computed as the API does', async (_, model, argument, x, path) => {
    const { json, exitCode } = await run(`step --model ${model} ${argument} --json`);
    expect(exitCode).toBe(0);
    expect(json()).toEqual((await app.post(`/v1/${path}`, { model, x })).body);
  });

  test.each([
    ['CSV with a heading', 'a,b\n1,2\n3,4\n', [[[1, 2]], [[3, 4]]]],
    ['CSV with semicolons', '1;2\r\n3;4', [[[1, 2]], [[3, 4]]]],
    ['JSON', ' [[1,2]]\n', [[1, 2]]],
  ])('%s is read from a file and from stdin', async (_, text, x) => {
    const { body } = await app.post(x[0]!.length === 1 ? '/v1/sequence' : '/v1/step', { model: 'plain', x });
    expect((await run(`step --model plain --json --file ${fileOf('x', text)}`)).json()).toEqual(body);
    expect((await run('step --model plain --json --file -', { stdin: text })).json()).toEqual(body);
  });

  test('the result is a table, as wide as the terminal', async () => {
    expect((await run('step --model plain [1,1]')).stdout).toMatch(/^h \(1, 1\)\n {2}n +0\n {2}0 {2}0\.905\d+\n$/);
    const { stdout } = await run('step --model wide 1');
    expect(stdout).toContain('…');
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(100);
    expect((await run('step --model plain [[[1,1]],[[0,0]]] --outputs hs')).stdout).toMatch(
      /^hs \(2, 1, 1\)\n {2}t {2}n +0\n {2}1 {2}0 +0\.9/,
    );
  });

  test('a key makes a step of a session count once', async () => {
    const id = (await run('sessions create --model plain')).stdout.trim();
    const first = await run(`step --session ${id} --key a [1,1]`);
    expect(first.stdout).toContain(`\nsession ${id} is at t = 1\n`);
    expect((await run(`step --session ${id} --key a [1,1]`)).stdout).toBe(first.stdout);
  });

  test.each([
    ['step 1', 64, 'Neither --model nor --session is given, expected one of them'],
    ['step --model plain --session a 1', 64, 'Both --model and --session are given'],
    ['step --model plain', 64, 'There is no x, expected it as an argument or with --file'],
    ['step --model plain [1,2] --outputs hs', 64, '--outputs is given for one step, expected a sequence'],
    ['step --model plain [1,"2"]', 65, 'x is "[1,\\"2\\"]", expected a number, or lists of numbers'],
    ['step --model plain [[[[1,2]]]]', 65, 'expected a number, or lists of numbers'],
    ['step --model austen [[[1]]]', 65, 'expected at most 2 axes'],
    ['step --model plain [1]', 65, '[shape_mismatch]'],
    ['step --model none 1', 66, '[model_not_found]'],
    ['step --session AAAAAAAAAAAAAAAAAAAAAA 1', 66, '[session_not_found]'],
    ['step --model plain --file /nowhere', 66, 'there is no such file'],
  ])('%s ends with %i', async (line, exitCode, message) => {
    expect(await run(line)).toMatchObject({ exitCode, stdout: '', stderr: expect.stringContaining(message) });
  });

  test('a line of CSV with other numbers is quoted', async () => {
    const { stderr } = await run(`step --model plain --file ${fileOf('bad.csv', '1,2\n3\n')}`);
    expect(stderr).toContain('x is "3", expected 2 numbers in each line, the inputs of a step');
  });
});

describe('generate', () => {
  test('the alphabet of austen is that with which it was trained', () => {
    const trained = JSON.parse(
      readFileSync(join(import.meta.dirname, '../../load/demo/data/austen.json'), 'utf8'),
    ).alphabet;
    expect(Array.from(ALPHABETS['austen']!)).toEqual(trained);
  });

  test('writes the same text for the same seed, and leaves no session behind', async () => {
    const line = ['generate', '--prompt', 'It is a truth', '--length', '30', '--seed', '1'];
    const { stdout } = await carryover(line, { app });
    const { json } = await carryover([...line, '--json'], { app });
    const { text } = json();
    expect(stdout).toBe(`It is a truth${text}\n`);
    expect(text).toHaveLength(30);
    expect((await carryover(line.with(-1, '2'), { app })).stdout).not.toBe(stdout);
    expect((await run('sessions --model austen --json')).json()).toEqual([]);
  });

  test('writes each character as soon as it is drawn, and Ctrl-C ends it with 130', async () => {
    const { signal, interrupt } = interruptible();
    let written = '';
    const onOutput = (text: string) => {
      written += text;
      if (written.length === 5) interrupt();
    };
    const { exitCode, stderr } = await run('generate --length 1000', { signal, onOutput });
    expect({ exitCode, stderr, length: written.length }).toEqual({ exitCode: 130, stderr: '', length: 5 });
    expect((await run('sessions --model austen --json')).json()).toEqual([]);
  });

  test.each([
    [['--prompt', 'naïve'], 65, 'The prompt has "ï", expected only characters that the model knows'],
    [['--prompt', ''], 64, 'The prompt is empty'],
    [['--model', 'plain'], 64, 'The characters of the model "plain" are not known'],
    [['--length', '0'], 64, 'Expected a whole number, 1 to 1000000'],
    [['--temperature', 'hot'], 64, 'Expected a number, 0.01 to 100'],
  ])('%j ends with %i', async (options, exitCode, message) => {
    expect(await carryover(['generate', ...options], { app })).toMatchObject({
      exitCode,
      stdout: '',
      stderr: expect.stringContaining(message),
    });
  });

  test('an alphabet that is not that of the model is refused', async () => {
    const alphabet = fileOf('alphabet.json', '["a","b"]');
    const { exitCode, stderr } = await run(`generate --model austen --alphabet ${alphabet} --prompt ab`);
    expect({ exitCode, stderr }).toEqual({
      exitCode: 65,
      stderr: expect.stringContaining(
        'The model answers with 75 numbers, expected a probability for each of the 2 characters',
      ),
    });
    expect(await run(`generate --model austen --alphabet ${fileOf('bad.json', '"ab"')} --prompt ab`)).toMatchObject({
      exitCode: 65,
    });
  });
});
