// The log on stdout, where that cannot be written or is not read: lines are lost, and the service goes on and ends as ever.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { createLogger } from '../src/logging.ts';
import { StdoutLines } from '../src/stdout-lines.ts';

const ROOT = join(import.meta.dirname, '..');
const LINE = `${'x'.repeat(999)}\n`;

/** Writes to memory, or fails with `code`, or never answers while it is stuck. */
class TestWriter {
  written = '';
  code: string | undefined;
  isStuck = false;
  writes = 0;

  readonly write = (_fd: number, bytes: Buffer, onWritten: (error: Error | null, count: number) => void): void => {
    this.writes++;
    if (this.isStuck) return;
    setImmediate(() => (this.code ? onWritten(this.#error(), 0) : onWritten(null, this.#take(bytes))));
  };

  readonly writeSync = (_fd: number, bytes: Buffer): number => {
    if (this.code) throw this.#error();
    return this.#take(bytes);
  };

  /** At most 1,500 bytes, as the system may write less than it is given. */
  #take(bytes: Buffer): number {
    const part = bytes.subarray(0, 1_500);
    this.written += part.toString();
    return part.length;
  }

  #error(): Error {
    return Object.assign(new Error('not written'), { code: this.code });
  }
}

describe('lines', () => {
  test('are written in their order, those that come during a write together', async () => {
    const writer = new TestWriter();
    const lines = new StdoutLines(1, writer);
    const all = Array.from({ length: 20 }, (_, k) => `${k} é\n`);
    for (const line of all) lines.write(line);
    await vi.waitFor(() => expect(writer.written).toBe(all.join('')));
    expect(writer.writes).toBe(2);
  });

  test.each(['ENOSPC', 'EAGAIN', 'EIO'])('that cannot be written because of %s wait, up to a limit; how many were lost is told', async (code) => {
    const writer = new TestWriter();
    const lines = new StdoutLines(1, writer);
    const lost: number[] = [];
    lines.onLost = (count) => lost.push(count);
    writer.code = code;
    for (let k = 0; k < 5_000; k++) {
      lines.write(LINE);
      if (k % 100 === 0) await sleep(0);
    }
    writer.code = undefined;
    await vi.waitFor(() => expect(lost).toHaveLength(1), { timeout: 5_000 });
    await vi.waitFor(() => expect(writer.written.length / LINE.length).toBe(5_000 - lost[0]!), { timeout: 5_000 });
    expect(lost[0]).toBeGreaterThan(2_500);
    expect(lost[0]).toBeLessThan(4_200);
    expect(writer.written.replaceAll(LINE, '')).toBe('');
  });

  test('are dropped when nobody will read them any more', async () => {
    const writer = new TestWriter();
    const lines = new StdoutLines(1, writer);
    writer.code = 'EPIPE';
    lines.write(LINE);
    await vi.waitFor(() => expect(writer.writes).toBe(1));
    await sleep(20);
    for (let k = 0; k < 10; k++) lines.write(LINE);
    await sleep(150);
    expect(writer.writes).toBe(1);
  });

  test('that wait at the end are written, and delay it by a fraction of a second if they cannot be', async () => {
    const writer = new TestWriter();
    const lines = new StdoutLines(1, writer);
    writer.isStuck = true;
    lines.write('in work\n');
    lines.write('waiting\n');
    lines.flushSync();
    expect(writer.written).toBe('waiting\n');
    lines.write('later\n');
    for (const code of ['ENOSPC', 'EAGAIN']) {
      writer.code = code;
      const startMs = performance.now();
      lines.write('later\n');
      lines.flushSync();
      expect(performance.now() - startMs).toBeLessThan(1_000);
    }
    expect(writer.written).toBe('waiting\n');
  });

  test('that were lost are told in the log', async () => {
    const writer = new TestWriter();
    const lines = new StdoutLines(1, writer);
    const logger = createLogger('info', lines);
    lines.onLost!(3);
    logger.info('next');
    await vi.waitFor(() => expect(writer.written.split('\n')).toHaveLength(3));
    expect(JSON.parse(writer.written.split('\n')[0]!)).toMatchObject({ level: 40, lines: 3, msg: expect.stringContaining('lines of the log were lost') });
  });
});

describe('the service', () => {
  /** Resolves when it serves. What it prints on stdout is not read. */
  async function serve(stdout: number | 'pipe'): Promise<{ child: ChildProcess; url: string }> {
    const env = { ...process.env, PORT: '0', HOST: '127.0.0.1', STORE_URL: 'memory:', SHUTDOWN_TIMEOUT_MS: '3000' };
    const child = spawn(process.execPath, ['src/server.ts'], { cwd: ROOT, env, stdio: ['ignore', stdout, 'pipe'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    let printed = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (printed += text));
    const url = await vi.waitFor(() => /API +(http:\S+)\/docs/.exec(printed)![1]!, { timeout: 60_000, interval: 50 });
    return { child, url };
  }

  test('goes on where nobody reads an audit log on stdout', async () => {
    const child = spawn(process.execPath, ['test/fixtures/servers/unread-audit.ts'], { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    const said = await Promise.race([once(child.stderr.setEncoding('utf8'), 'data'), sleep(20_000, ['nothing'])]);
    expect(said).toEqual(['ended, EAGAIN\n']);
  });

  const step = async (url: string) =>
    (await fetch(`${url}/v1/step`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"model":"sunspots","x":[[1]]}' })).status;

  async function expectEnd(child: ChildProcess): Promise<void> {
    const exit = once(child, 'exit');
    child.kill('SIGTERM');
    expect(await Promise.race([exit, sleep(15_000, 'still there')])).toEqual([0, null]);
  }

  test('serves and ends where stdout is a disk that is full', async () => {
    const full = openSync('/dev/full', 'w');
    const { child, url } = await serve(full);
    closeSync(full);
    for (let k = 0; k < 10; k++) expect(await step(url)).toBe(200);
    await expectEnd(child);
  });

  test('stays, and ends when it is told to, where stderr is a full disk, too', async () => {
    const full = openSync('/dev/full', 'w');
    const env = { ...process.env, PORT: '0', HOST: '127.0.0.1', STORE_URL: 'memory:' };
    const child = spawn(process.execPath, ['src/server.ts'], { cwd: ROOT, env, stdio: ['ignore', full, full] });
    onTestFinished(() => void child.kill('SIGKILL'));
    closeSync(full);
    // It writes its greeting to stderr when it serves.
    expect(await Promise.race([once(child, 'exit'), sleep(5_000, 'still there')])).toBe('still there');
    await expectEnd(child);
  });

  test('serves and ends where nobody reads stdout', async () => {
    const { child, url } = await serve('pipe');
    child.stdout!.pause();
    // More than the system keeps, of 400 bytes each.
    const statuses = new Set<number>();
    for (let k = 0; k < 200; k++) for (const status of await Promise.all(Array.from({ length: 10 }, () => step(url)))) statuses.add(status);
    expect(statuses).toEqual(new Set([200]));
    await expectEnd(child);
  });
});
