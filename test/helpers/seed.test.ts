// A random test that fails prints one command, and the command fails with the same numbers.
import { spawnSync } from 'node:child_process';
import { delimiter, join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { IS_LONG } from './long.ts';
import { repeatCommand } from './report-failures.ts';

const root = join(import.meta.dirname, '../..');
/** The fixture fails on purpose, so it is not among the files of the ordinary configuration. */
const CONFIG = ' --config test/fixtures/failing/vitest.config.ts';

function run(command: string) {
  const PATH = [join(root, 'node_modules/.bin'), process.env.PATH].join(delimiter);
  const env = { ...process.env, PATH, NO_COLOR: '1' };
  Reflect.deleteProperty(env, 'SEED');
  const { status, stdout, stderr } = spawnSync(command, { shell: true, cwd: root, encoding: 'utf8', env });
  const output = stdout + stderr;
  return {
    status,
    output,
    commands: [...output.matchAll(/^repeat: (.+)$/gm)].map(([, line]) => line!),
    counterexample: /Counterexample: \[(\d+)\]/.exec(output)?.[1],
  };
}

describe('a failed run', () => {
  let first: ReturnType<typeof run>;
  beforeAll(() => {
    first = run(`vitest run${CONFIG}`);
  });

  test('the run prints a command for each failed test, which repeats it with the same numbers', () => {
    expect(first.status).toBe(1);
    expect(first.commands).toHaveLength(2);
    expect(first.counterexample).toBeDefined();
    const [command] = first.commands;
    expect(command).toMatch(/^SEED=\d+ (?:\w+=\S+ )*npm test -- test\/fixtures\/failing\/random\.ts -t '/);
    const again = run(command! + CONFIG);
    expect(again.status).toBe(1);
    expect(again.commands).toEqual([command]);
    expect(again.counterexample).toBe(first.counterexample);
  });

  if (IS_LONG) {
    test('control: another seed finds another counterexample', () => {
      const seed = Number(/^SEED=(\d+) /.exec(first.commands[0]!)![1]);
      const other = run(`SEED=${seed + 1} vitest run${CONFIG}`);
      expect(other.counterexample).toBeDefined();
      expect(other.counterexample).not.toBe(first.counterexample);
    });
  }
});

test('the name of a test is quoted for the shell and for the regular expression of -t', () => {
  expect(repeatCommand('SEED=7', 'test/x.test.ts', "group > it's (1.5) [a|b]")).toBe(
    String.raw`SEED=7 npm test -- test/x.test.ts -t 'group > it'\''s \(1\.5\) \[a\|b\]'`,
  );
  expect(repeatCommand('SEED=7', 'test/x.test.ts')).toBe('SEED=7 npm test -- test/x.test.ts');
});
