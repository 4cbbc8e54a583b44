// The documentation tells the truth: every curl and every program in the README is run and its output
// compared, every npm script, file and setting that prose names exists.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ConfigSchema, readConfig } from '../src/config.ts';
import { ERRORS } from '../src/errors.ts';
import { describeWith } from './helpers/needs.ts';
import { type RunningServer, startServer } from './helpers/process.ts';
import { writeSafetensors } from './helpers/safetensors.ts';

const root = join(import.meta.dirname, '..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const readme = read('README.md');
const pages = ['README.md', 'CHANGELOG.md']
  .concat(
    ['src', 'docker', 'load'].flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.md') && !file.includes('node_modules'))
        .map((file) => join(folder, file)),
    ),
  )
  .map((path) => ({ path, text: read(path) }));

let server: RunningServer;
/** Where examples write their files. */
const folder = mkdtempSync(join(tmpdir(), 'carryover-docs-'));
beforeAll(async () => {
  server = await startServer();
});
afterAll(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true });
});

/** Runs an example as a reader would, but on this test's port. */
function run(program: string, args: readonly string[], example: string): string {
  const code = example.replaceAll('http://127.0.0.1:8080', server.url);
  const { stdout, stderr, status } = spawnSync(program, [...args, code], {
    encoding: 'utf8',
    cwd: folder,
  });
  expect(status, stderr).toBe(0);
  return stdout;
}

interface Example {
  readonly command: string;
  /** The JSON block behind it, or the quoted sentence that its detail must be. */
  readonly answer: string;
}

const examples: Example[] = [
  ...readme.matchAll(
    /```sh\n((?:curl|printf|id=\$\()[^`]+)```\n\n(?:```json\n([^`]+)```|> (.+))/g,
  ),
].map(([, command, json, sentence]) => ({ command: command!, answer: json ?? sentence! }));

const programs = [...readme.matchAll(/```python\n([^`]+)```/g)].map(([, program]) => program!);
const torch = fileOf(programs.find((program) => program.includes('import torch'))!);

/** The file that a program for torch writes, made here: torch names parameters by where they stand. */
function fileOf(program: string) {
  const [, rnn, D, H] = /self\.(\w+) = torch\.nn\.RNN\((\d+), (\d+)\)/.exec(program)!;
  const [, head, I, O] = /self\.(\w+) = torch\.nn\.Linear\((\d+), (\d+)\)/.exec(program)!;
  const save = /save_file\(\w+\(\)\.state_dict\(\), "(.+)", metadata=(\{.+\})\)\n/.exec(program)!;
  const tensor = (...sizes: (string | undefined)[]) => {
    const shape = sizes.map(Number);
    const count = shape.reduce((product, size) => product * size);
    return { shape, data: new Float32Array(count).fill(0.125) };
  };
  const tensors = {
    [`${rnn}.weight_ih_l0`]: tensor(H, D),
    [`${rnn}.weight_hh_l0`]: tensor(H, H),
    [`${rnn}.bias_ih_l0`]: tensor(H),
    [`${rnn}.bias_hh_l0`]: tensor(H),
    [`${head}.weight`]: tensor(O, I),
    [`${head}.bias`]: tensor(O),
  };
  return { path: save[1]!, file: writeSafetensors(tensors, JSON.parse(save[2]!)) };
}

describeWith('curl', 'the examples of the README', () => {
  const END = '--- end of an example ---';
  let outputs: string[];
  beforeAll(() => {
    writeFileSync(join(folder, torch.path), torch.file);
    // All in one shell, so a variable of one is there in the next.
    const script = examples.map(({ command }) => `${command}echo; echo '${END}'\n`).join('');
    outputs = run('bash', ['-c'], script).split(END);
  });

  test.each(examples.map((example, k) => ({ ...example, k })))('$command', ({ answer, k }) => {
    const output = outputs[k]!.trim();
    if (/^[{"]/.test(answer)) expect(`${withoutChance(output)}\n`).toBe(answer);
    else expect(withoutChance(JSON.parse(output).detail)).toBe(answer);
  });
});

describeWith('python3', 'the program for Python in the README', () => {
  test('prints y', async () => {
    const python = programs.find((program) => !program.includes('import torch'))!;
    const stdout = run('python3', ['-c'], python);
    const answer = await fetch(`${server.url}/v1/step`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'sunspots', x: [[0.58]] }),
    });
    const { y } = (await answer.json()) as { y: number[][] };
    expect(Math.fround(Number(stdout))).toBe(Math.fround(y[0]![0]!));
  });
});

describe('the README', () => {
  const scripts = [...readme.matchAll(/```js\n([^`]+)```\n\n```text\n([^`]+)```/g)];
  test.each(scripts.map(([, script, output]) => ({ script: script!, output: output! })))(
    'has a program for Node.js that prints what it says',
    ({ script, output }) => {
      expect(run(process.execPath, ['--input-type=module', '-e'], script)).toBe(output);
    },
  );

  test('has the output behind every program for Node.js', () => {
    expect(scripts.length).toBe(readme.match(/^```js$/gm)!.length);
  });

  test('has an answer behind every curl', () => {
    expect(examples.length).toBe(readme.match(/^```sh\n[^`]*curl /gm)!.length);
    expect(examples.length).toBeGreaterThanOrEqual(8);
  });

  test('has the two commands in these words', () => {
    expect(readme).toContain('```sh\nnpm ci && npm start\n```');
    expect(readme).toContain('```sh\nnpm ci && npm test\n```');
  });

  test('has the table of settings that the schema says', () => {
    const table = /<!-- config -->\n([^]*)<!-- \/config -->/.exec(readme)![1];
    expect(table).toBe(configTable());
  });

  test('names error codes that exist', () => {
    for (const [, codes] of readme.matchAll(/^\| (`\w+`(?:, `\w+`)*) \|/gm)) {
      for (const [, code] of codes!.matchAll(/`([a-z_]+)`/g)) expect(ERRORS).toHaveProperty(code!);
    }
  });
});

describe.each(pages)('$path', ({ path, text }) => {
  test('names npm scripts that exist', () => {
    const { scripts } = JSON.parse(read('package.json'));
    const names = [...text.matchAll(/npm run ([\w:-]+)/g)].map(([, name]) => name!);
    expect(names.filter((name) => !(name in scripts))).toEqual([]);
  });

  test('links to files that exist', () => {
    const targets = [...text.matchAll(/\]\((?!https?:|#)([^)#]+)/g)].map(([, target]) => target!);
    expect(targets.filter((target) => !existsSync(join(root, dirname(path), target)))).toEqual([]);
  });

  test('names settings that exist', () => {
    const names = [...text.matchAll(/`([A-Z]+_[A-Z_]+(?:MAX|MS|HOST|PORT))`/g)].map(([, name]) => name!);
    const ours = names.filter((name) => !name.startsWith('CARRYOVER_'));
    expect(ours.filter((name) => !(name in ConfigSchema.properties))).toEqual([]);
  });
});

test('the pages have links, scripts and settings to look at', () => {
  const all = pages.map(({ text }) => text).join('\n');
  for (const [pattern, count] of [
    [/npm run [\w:-]+/g, 10],
    [/\]\((?!https?:|#)/g, 5],
    [/`[A-Z]+_[A-Z_]+(?:MAX|MS)`/g, 10],
  ] as const) {
    expect(all.match(pattern)!.length).toBeGreaterThan(count);
  }
});

function configTable(): string {
  const defaults = readConfig({}) as Record<string, unknown>;
  const rows = Object.entries(ConfigSchema.properties).map(([name, schema]) => {
    const value = name === 'WORKERS' || defaults[name] === '' ? '' : `\`${String(defaults[name])}\``;
    return `| \`${name}\` | ${value} | ${(schema as { description?: string }).description} |`;
  });
  return ['| setting | default | |', '|---|---|---|', ...rows, ''].join('\n');
}

/** Ids, incarnations and times are new every time. */
function withoutChance(text: string): string {
  return text
    .replaceAll(/(?<![\w-])[\w-]{22}(?![\w-])/g, '…')
    .replaceAll(/"[\w-]{8}\.(\d+)\.[\w-]{8}"/g, '"….$1.…"')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '…');
}
