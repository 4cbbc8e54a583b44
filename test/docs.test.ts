// The documentation is true: every example of a guide is run and its output compared, every file, anchor, symbol,
// npm script and setting that a page names exists, and tables that follow from the code are those of the code.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { TABLES, tableOnPage } from '../docker/settings.ts';
import { ConfigSchema } from '../src/config.ts';
import { ERRORS } from '../src/error-kinds.ts';
import { describeWith } from './helpers/needs.ts';
import { type RunningServer, startQuickly } from './helpers/process.ts';
import { type TensorToWrite, writeSafetensors } from './helpers/safetensors.ts';

const root = join(import.meta.dirname, '..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');

/** Pages whose examples are run. */
const GUIDES = ['README.md', 'openapi/README.md', 'openapi/open-inference-protocol.md'].map((path) => ({ path, text: read(path) }));

const pages = ['README.md', 'CHANGELOG.md', '.github/SECURITY.md']
  .concat(['src', 'docker', 'load', 'openapi', 'test'].flatMap(markdownFiles))
  .map((path) => ({ path, text: read(path) }));

function markdownFiles(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.md') && !file.includes('node_modules'))
    .map((file) => join(folder, file));
}

/** The code blocks of a page with their language, and the text behind each up to the next block. */
function blocksOf(text: string) {
  return [...text.matchAll(/^```(\w+)\n([^]*?)^```\n([^]*?)(?=^```|$(?![^]))/gm)].map(
    ([, language, code, rest]) => ({ language: language!, code: code!, rest: rest! }),
  );
}

interface Example {
  readonly language: 'sh' | 'js' | 'python';
  readonly code: string;
  /** What it must print; of a problem only `detail` is quoted. */
  readonly output: { readonly printed: string } | { readonly detail: string } | undefined;
}

/** Examples are blocks of shell with curl, of JavaScript and of Python; the output is the block or the quote behind. */
function examplesOf(text: string): Example[] {
  const blocks = blocksOf(text);
  return blocks.flatMap(({ language, code, rest }, i) => {
    if (!['sh', 'js', 'python'].includes(language)) return [];
    if (language === 'sh' && !code.includes('curl ')) return [];
    const quote = /^\n> (.+)\n/.exec(rest)?.[1];
    const next = blocks[i + 1];
    const isOutput = rest.trim() === '' && (next?.language === 'json' || next?.language === 'text');
    const output = quote ? { detail: quote } : isOutput ? { printed: next.code } : undefined;
    return [{ language: language as Example['language'], code, output }];
  });
}

let server: RunningServer;
/** Where examples write their files. */
const folder = mkdtempSync(join(tmpdir(), 'carryover-docs-'));
beforeAll(async () => {
  server = await startQuickly();
  // Where examples import the client from, as if it was installed.
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(root, join(folder, 'node_modules/carryover'));
});
afterAll(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true });
});

/** Runs a program as a reader would, but against the server of this test. */
function run(program: string, args: readonly string[], code: string): string {
  const here = code.replaceAll('http://127.0.0.1:8080', server.url);
  const { stdout, stderr, status } = spawnSync(program, [...args, here], { encoding: 'utf8', cwd: folder });
  expect(status, stderr).toBe(0);
  return stdout;
}

describe.each(GUIDES)('the examples of $path', ({ text }) => {
  const examples = examplesOf(text);
  const torch = examples.filter(({ code }) => /^import .*\btorch$/m.test(code));
  const ofLanguage = (language: Example['language']) =>
    examples.filter((example) => example.language === language && !torch.includes(example));

  test('the examples have their output behind them', () => {
    const without = examples.filter((example) => !torch.includes(example) && !example.output);
    expect(without.map(({ code }) => code)).toEqual([]);
    expect(examples.length).toBeGreaterThanOrEqual(5);
  });

  describeWith('curl', 'examples with curl', () => {
    const END = '--- end of an example ---';
    const shell = ofLanguage('sh');
    let printed: string[];
    beforeAll(() => {
      for (const { code } of torch) writeFileOf(code);
      // All in one shell, so that a variable of one example has its value in the next.
      const script = shell.map(({ code }) => `${code}echo; echo '${END}'\n`).join('');
      printed = run('bash', ['-c'], script).split(END);
    });

    test.each(shell.map((example, k) => ({ ...example, k })))('$code', ({ output, k }) => {
      const text = printed[k]!.trim();
      if (output && 'printed' in output) expect(`${withoutChance(text)}\n`).toBe(output.printed);
      else expect(withoutChance(JSON.parse(text).detail)).toBe(output?.detail);
    });
  });

  const scripts = ofLanguage('js');
  if (scripts.length > 0) {
    test.each(scripts)('$code', ({ code, output }) => {
      expect({ printed: run(process.execPath, ['--input-type=module', '-e'], code) }).toEqual(output);
    });
  }

  const programs = ofLanguage('python');
  if (programs.length > 0) {
    // One of them imports the file that an example with curl has fetched.
    describeWith(['curl', 'python3'], 'examples with Python', () => {
      test.each(programs)('$code', ({ code, output }) => {
        expect({ printed: run('python3', ['-c'], code) }).toEqual(output);
      });
    });
  }
});

/** Writes the file that a program for torch saves, with torch's names for the modules that it declares. */
function writeFileOf(program: string): void {
  const tensors: Record<string, TensorToWrite> = {};
  const add = (name: string, ...shape: number[]) => {
    const count = shape.reduce((product, size) => product * size);
    tensors[name] = { shape, data: new Float32Array(count).fill(0.125) };
  };
  const modules = program.matchAll(/self\.(\w+) = torch\.nn\.(\w+)\((\d+), (\d+)(?:, num_layers=(\d+))?\)/g);
  for (const [, name, kind, inputs, outputs, layers = 1] of modules) {
    const [I, O] = [Number(inputs), Number(outputs)];
    const gates = { RNN: 1, GRU: 3, LSTM: 4 }[kind!];
    if (kind === 'Embedding') add(`${name}.weight`, I, O);
    else if (kind === 'Linear') {
      add(`${name}.weight`, O, I);
      add(`${name}.bias`, O);
    } else {
      for (let k = 0; k < Number(layers); k++) {
        add(`${name}.weight_ih_l${k}`, gates! * O, k === 0 ? I : O);
        add(`${name}.weight_hh_l${k}`, gates! * O, O);
        add(`${name}.bias_ih_l${k}`, gates! * O);
        add(`${name}.bias_hh_l${k}`, gates! * O);
      }
    }
  }
  const [, path, metadata] = /save_file\(\w+\(\)\.state_dict\(\), "(.+)", metadata=(\{.+\})\)\n/.exec(program)!;
  writeFileSync(join(folder, path!), writeSafetensors(tensors, metadataOf(program, metadata!)));
}

/** Metadata in Python: a literal, or one field with the JSON of a list that the program declares. */
function metadataOf(program: string, python: string): Record<string, string> {
  const [, field, list] = /^\{"([^"]+)": json\.dumps\((\w+)\)\}$/.exec(python) ?? [];
  if (field === undefined) return JSON.parse(python);
  const literal = new RegExp(`^${list} = (\\[[^]*?^\\])`, 'm').exec(program)![1]!;
  return { [field]: JSON.stringify(JSON.parse(literal.replace(/,\s*\]$/, ']'))) };
}

/** Ids, incarnations and times are new in every run. */
function withoutChance(text: string): string {
  return text
    .replaceAll(/(?<![\w-])[\w-]{22}(?![\w-])/g, '…')
    .replaceAll(/"[\w-]{8}\.(\d+)\.[\w-]{8}"/g, '"….$1.…"')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '…');
}

describe('README.md', () => {
  const readme = read('README.md');

  test('the page has at most 180 lines', () => {
    expect(readme.trimEnd().split('\n').length).toBeLessThanOrEqual(180);
  });

  test('the page has the two commands in these words', () => {
    expect(readme).toContain('```sh\nnpm ci && npm start\n```');
    expect(readme).toContain('```sh\nnpm ci && npm test\n```');
  });
});

describe('docker/README.md', () => {
  test.each(Object.entries(TABLES))('the page has the table of %s that the source gives', (name, table) => {
    expect(tableOnPage(name as keyof typeof TABLES), 'run `npm run settings`').toBe(table());
  });

  test('the error codes of the page exist', () => {
    const [, troubles = ''] = read('docker/README.md').split('\n## Troubleshooting\n');
    const rows = [...troubles.matchAll(/^\| (`\w+`(?:, `\w+`)*) \|/gm)];
    const codes = rows.flatMap(([, cell]) => [...cell!.matchAll(/`([a-z_]+)`/g)].map(([, code]) => code!));
    expect(codes.filter((code) => !(code in ERRORS))).toEqual([]);
    expect(codes.length).toBeGreaterThan(5);
  });
});

describe('src/README.md', () => {
  const text = read('src/README.md');
  /** Paths of files are relative to src/. */
  const isPath = (name: string) => /^[\w./-]+\.(ts|mjs|json|md|py)$/.test(name);

  test('the files of the drawing exist', () => {
    const drawn = [...text.matchAll(/^ {2,}([\w/-]+\/[\w-]+\.ts) /gm)].map(([, path]) => path!);
    expect(drawn.filter((path) => !existsSync(join(root, 'src', path)))).toEqual([]);
    expect(drawn.length).toBeGreaterThan(30);
  });

  /** Rows of the tables "Where …": a question, and an answer like `path.ts` `symbol`, `symbol`; … */
  const tables = text.slice(text.indexOf('## Where is'), text.indexOf('## Names'));
  const answers = [...tables.matchAll(/^\| (?!question|to add|---)(.+?) \| (.+) \|$/gm)].map(
    ([, question, answer]) => ({ question: question!, answer: answer! }),
  );

  test.each(answers)('the page answers: $question', ({ answer }) => {
    let source = '';
    let symbols = 0;
    for (const [, name] of answer.matchAll(/`([^`]+)`/g)) {
      if (isPath(name!)) source = read(join('src', name!));
      else if (!name!.startsWith('npm run ')) {
        symbols++;
        expect(source.includes(name!), `${name} is not in the file before it: ${answer}`).toBe(true);
      }
    }
    expect(symbols, 'an answer names a file and a symbol in it').toBeGreaterThan(0);
  });

  test('the page answers every question of a newcomer', () => {
    expect(answers.length).toBeGreaterThan(30);
  });
});

describe.each(pages)('$path', ({ path, text }) => {
  test('npm scripts that the page names exist', () => {
    const { scripts } = JSON.parse(read('package.json'));
    const names = [...text.matchAll(/npm run ([\w:-]+)/g)].map(([, name]) => name!);
    expect(names.filter((name) => !(name in scripts))).toEqual([]);
  });

  test('files and headings that the page links to exist', () => {
    const links = [...text.matchAll(/\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)/g)];
    const broken = links.filter(([, file, heading]) => {
      const target = join(root, file ? join(dirname(path), file) : path);
      return !existsSync(target) || (heading && !headingsOf(readFileSync(target, 'utf8')).includes(heading));
    });
    expect(broken.map(([link]) => link)).toEqual([]);
  });

  test('source files that the page names exist', () => {
    const names = [...text.matchAll(/`((?:\.\.\/|[\w.-]+\/)[\w./-]+\.(?:ts|mjs|json|md|py))`/g)].map(([, name]) => name!);
    const exists = (name: string) => [dirname(path), 'src', '.'].some((from) => existsSync(join(root, from, name)));
    expect(names.filter((name) => !exists(name))).toEqual([]);
  });

  test('settings that the page names exist', () => {
    const names = [...text.matchAll(/`([A-Z]+_[A-Z_]+(?:MAX|MS|HOST|PORT))`/g)].map(([, name]) => name!);
    const ours = names.filter((name) => !name.startsWith('CARRYOVER_'));
    expect(ours.filter((name) => !(name in ConfigSchema.properties))).toEqual([]);
  });
});

/** Anchors as GitHub makes them: lower case, spaces to hyphens, punctuation dropped. */
function headingsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!.toLowerCase().replaceAll(/[^\w\- ]/g, '').replaceAll(' ', '-'),
  );
}

test('the pages have links, scripts and settings to check', () => {
  const all = pages.map(({ text }) => text).join('\n');
  for (const [pattern, count] of [
    [/npm run [\w:-]+/g, 10],
    [/\]\((?!https?:|#)/g, 5],
    [/`[A-Z]+_[A-Z_]+(?:MAX|MS)`/g, 10],
  ] as const) {
    expect(all.match(pattern)!.length).toBeGreaterThan(count);
  }
});
