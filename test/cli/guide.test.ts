// openapi/cli.md is true: every example is run in the order of the page, and its output compared.
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EXIT_MEANINGS, EXIT_OF_PROBLEM } from '../../src/cli/exit-codes.ts';
import { type TestApp, buildApp } from '../helpers/app.ts';
import { carryover } from '../helpers/command-line.ts';

const page = readFileSync(join(import.meta.dirname, '../../openapi/cli.md'), 'utf8');
const COMMANDS = ['serve', 'doctor', 'import', 'models', 'sessions', 'step', 'generate', 'key', 'backup', 'bench'];

interface Example {
  readonly lines: readonly string[];
  readonly output: string | undefined;
}

/** Blocks of shell, each with the block of text that follows at once, if one does. */
const examples: Example[] = [...page.matchAll(/^```sh\n([^]*?)^```\n(?:\n```text\n([^]*?)^```\n)?/gm)].map(
  ([, code, output]) => ({
    lines: code!
      .trimEnd()
      .replaceAll(/ \\\n\s*/g, ' ')
      .split('\n'),
    output,
  }),
);

describe('the page', () => {
  test('has an example of every command', () => {
    const all = examples.flatMap(({ lines }) => lines).join('\n');
    for (const command of COMMANDS) expect(all).toMatch(new RegExp(`carryover ${command}\\b`));
  });

  test('has the table of exit codes that follows from the code', () => {
    const rows = Object.entries(EXIT_MEANINGS).map(([exit, meaning]) => {
      const codes = Object.entries(EXIT_OF_PROBLEM)
        .filter(([, mapped]) => String(mapped) === exit)
        .map(([code]) => `\`${code}\``);
      return `| ${exit} | ${meaning} | ${codes.join(', ')} |`;
    });
    expect([...page.matchAll(/^\| \d+ \|.*$/gm)].map(([row]) => row)).toEqual(rows);
  });
});

describe('the examples', () => {
  const folder = mkdtempSync(join(tmpdir(), 'carryover-guide-'));
  const variables = new Map<string, string>();
  let app: TestApp;
  beforeAll(async () => {
    app = await buildApp();
    for (const file of ['forecast.pt', 'forecast.npz'])
      copyFileSync(join(import.meta.dirname, '../fixtures/npz', file), join(folder, file));
    writeFileSync(join(folder, 'months.csv'), '0.58\n0.61\n0.55\n');
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  /** The words behind `carryover`, as a shell makes them, with files in the folder of this test. */
  function wordsOf(line: string): string[] {
    const words = [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, ...found]) =>
      found.find((word) => word !== undefined)!,
    );
    const filled = words.map((word) => word.replaceAll(/\$(\w+)/g, (_, name: string) => variables.get(name)!));
    return filled.map((word) => (/^[\w.-]+\.(pt|npz|csv|safetensors|json)$/.test(word) ? join(folder, word) : word));
  }

  async function runLine(line: string): Promise<string> {
    const [, name, inner] = /^(\w+)=\$\((.+)\)$/.exec(line) ?? [];
    const [program, ...argv] = wordsOf(inner ?? line);
    expect(program).toBe('carryover');
    // They need a port: see bench.test.ts and backup.test.ts.
    if (argv[0] === 'bench' || argv[0] === 'backup') return '';
    const { exitCode, stdout, stderr } = await carryover(argv, { app, env: { PORT: '0' } });
    expect({ line, exitCode, stderr }).toEqual({ line, exitCode: 0, stderr: '' });
    if (name === undefined) return stdout;
    variables.set(name, stdout.trim());
    return '';
  }

  test.each(examples)('$lines', async ({ lines, output }) => {
    let printed = '';
    for (const line of lines) printed += await runLine(line);
    if (output !== undefined) expect(withoutChance(printed, folder)).toBe(output);
    else expect(printed).toBeDefined();
  });
});

/** Ids, times and measurements are others in every run, and vectors on every machine. */
function withoutChance(text: string, folder: string): string {
  return text
    .replaceAll(`${folder}/`, '')
    .replaceAll(/\b\d{4}-\d\d-\d\dT[\d:.]+Z/g, '2026-…')
    .replaceAll(/\b\d+ ms\b/g, '20 ms')
    .replaceAll(/\bsimd\d+\b/g, 'simd256')
    .replaceAll(/(?<![\w-])[\w-]{22}(?![\w-])/g, 'vsTVNJoAeN8qaSkQs8v0iw');
}
