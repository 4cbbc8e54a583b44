// The command as a process: the Node.js that it finds, its streams, and signals.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { startProcess, until } from '../helpers/process.ts';

const root = join(import.meta.dirname, '../..');
const BIN = join(root, 'src/cli/carryover.mjs');
const folder = mkdtempSync(join(tmpdir(), 'carryover-process-'));
afterAll(() => rmSync(folder, { recursive: true }));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(command: string, args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, stdout, stderr };
}

describe('the Node.js that runs the command', () => {
  /** A project whose command says with which program it runs, and a Node.js that says it is old. */
  function project(name: string, hasNode: boolean): string {
    const path = join(folder, name);
    mkdirSync(join(path, 'src/cli'), { recursive: true });
    cpSync(BIN, join(path, 'src/cli/carryover.mjs'));
    cpSync(join(root, 'src/node-version.mjs'), join(path, 'src/node-version.mjs'));
    writeFileSync(join(path, 'src/cli/main.ts'), 'console.log(JSON.stringify(process.argv.slice(2))); process.exit(75);');
    writeFileSync(join(path, 'old.mjs'), "Object.defineProperty(process.versions, 'node', { value: '20.19.0' });");
    if (!hasNode) return path;
    mkdirSync(join(path, 'node_modules/.bin'), { recursive: true });
    symlinkSync(process.execPath, join(path, 'node_modules/.bin/node'));
    return path;
  }

  const runOld = (path: string) =>
    run(process.execPath, ['--import', join(path, 'old.mjs'), join(path, 'src/cli/carryover.mjs'), 'models', 'a b']);

  test('is that of the project, if the one that was called is too old; arguments and exit code pass through', async () => {
    expect(await runOld(project('with-node', true))).toEqual({ code: 75, stdout: '["models","a b"]\n', stderr: '' });
  });

  test('is named in one line, if there is none', async () => {
    const { code, stdout, stderr } = await runOld(project('without-node', false));
    expect({ code, stdout }).toEqual({ code: 78, stdout: '' });
    expect(stderr).toMatch(/^Carryover needs Node\.js >= 24\.3, this is 20\.19\.0\. Install it, or run `npm ci`.*\n$/);
  });
});

describe('streams and signals', () => {
  test('serve becomes the service, and Ctrl-C stops it; generate ends with 130, and with 0 if its reader ends', async () => {
    const args = [BIN, 'serve', '--port', '0', '--store', 'memory:', '--workers', '1', '--log-level', 'warn'];
    const server = startProcess(process.execPath, args, { env: process.env });
    const [, url] = await until(server, () => /API +(http:\/\/\S+)\/docs/.exec(server.output()));
    const writer = startProcess(process.execPath, [BIN, 'generate', '--url', url!, '--length', '1000000'], {
      env: process.env,
    });
    await until(writer, () => writer.output().length > 50 || undefined);
    writer.process.kill('SIGINT');
    const [code] = (await once(writer.process, 'exit')) as [number];
    expect({ code, output: writer.output() }).toEqual({ code: 130, output: expect.not.stringContaining('carryover:') });
    const script = `"${process.execPath}" "${BIN}" generate --length 1000000 | head -c 20 >/dev/null; echo "\${PIPESTATUS[0]}"`;
    expect(await run('bash', ['-c', script], { CARRYOVER_URL: url! })).toEqual({ code: 0, stdout: '0\n', stderr: '' });
    const sessions = await run(process.execPath, [BIN, 'sessions', '--json'], { CARRYOVER_URL: url! });
    expect(sessions).toEqual({ code: 0, stdout: '[]\n', stderr: '' });

    server.process.kill('SIGINT');
    const [stopped] = (await once(server.process, 'exit')) as [number];
    expect(stopped, server.output()).toBe(0);
  });
});

// Where every write fails as on a full disk.
describe.runIf(existsSync('/dev/full'))('an stdout that cannot be written', () => {
  const runFull = (args: string, env: Record<string, string> = {}) =>
    run('bash', ['-c', `"${process.execPath}" "${BIN}" ${args} >/dev/full`], env);

  test.each(['--help', 'models --help', '--version', 'doctor'])('%s says so in one line, and ends with 74', async (args) => {
    const { code, stderr } = await runFull(args, { PORT: '0', STORE_URL: 'memory:' });
    expect(stderr).toBe('carryover: stdout cannot be written: the disk is full. Send the output to a file or a program that can take it.\n');
    expect(code).toBe(74);
  });

  test('with --json it is one line of JSON', async () => {
    const { code, stderr } = await runFull('doctor --json', { PORT: '0', STORE_URL: 'memory:' });
    const message = expect.stringMatching(/^stdout cannot be written: /);
    expect([code, JSON.parse(stderr)]).toEqual([74, { error: { exitCode: 74, message } }]);
  });

  test('the answers of a service are not lost in silence; generate ends at once and deletes its session', async () => {
    const args = [BIN, 'serve', '--port', '0', '--store', 'memory:', '--workers', '1', '--log-level', 'warn'];
    const server = startProcess(process.execPath, args, { env: process.env });
    const [, url] = await until(server, () => /API +(http:\/\/\S+)\/docs/.exec(server.output()));
    const env = { CARRYOVER_URL: url! };
    for (const command of ['models', 'models --json', 'generate --length 1000000']) {
      const { code, stderr } = await runFull(command, env);
      expect({ command, code, lines: stderr.split('\n').filter((line) => line.includes('stdout cannot be written')).length }).toEqual({ command, code: 74, lines: 1 });
      expect(stderr).not.toMatch(/^ +at /m);
    }
    expect(await run(process.execPath, [BIN, 'sessions', '--json'], env)).toEqual({ code: 0, stdout: '[]\n', stderr: '' });
    server.process.kill('SIGTERM');
    await once(server.process, 'exit');
  });
});
