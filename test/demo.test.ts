// The demo is what a newcomer runs first, and it is an end-to-end test: real sockets, a trained
// network, 3,177 steps, torch's numbers.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type App, createApp } from '../src/app.ts';
import { readConfig } from '../src/config.ts';

const demo = join(import.meta.dirname, '../load/demo/sunspots.ts');
const crash = join(import.meta.dirname, '../load/demo/crash.ts');

describe('the sunspot demo', () => {
  let app: App;
  let url: string;
  let folder: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'carryover-demo-'));
    app = await createApp(readConfig({ WORKERS: '1', PORT: '0', STORE_URL: 'memory:' }));
    await app.http.listen({ host: '127.0.0.1', port: 0 });
    url = `http://127.0.0.1:${(app.http.server.address() as AddressInfo).port}`;
  });

  afterAll(async () => {
    await app?.close();
    rmSync(folder, { recursive: true });
  });

  test('the demo processes 264 years twice, with the same bits, and is better than the naive forecast', async () => {
    const json = join(folder, 'demo.json');
    const { code, stdout, stderr } = await runDemo(['--url', url, '--json', json]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });

    const numbers = JSON.parse(readFileSync(json, 'utf8'));
    expect(numbers).toMatchObject({
      months: 3_177,
      sameBits: { chunksAndWholeCall: true, stepsAndSequence: true },
      rmse: { months: [2_601, 3_176] },
      sequence: { requests: 13 },
      step: { requests: 3_177 },
    });
    expect(numbers.maxAbsError).toBeLessThanOrEqual(2e-6);
    expect(numbers.rmse.model).toBeCloseTo(16.51, 2);
    expect(numbers.rmse.persistence).toBeCloseTo(18.66, 2);
    expect(stdout).toContain('the same bits');
  }, 60_000);

  test('the demo prints in one line how to start the service if it does not run', async () => {
    const { code, stdout, stderr } = await runDemo(['--url', 'http://127.0.0.1:1']);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toBe(
      'No service answers at http://127.0.0.1:1. Start it in another terminal: npm start\n',
    );
  });
});

describe('the demo of a crash', () => {
  test('the demo kills the service in the middle of a session and finds the same bits', async () => {
    const { code, stdout, stderr } = await runDemo(['--months', '300'], crash);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('steps taken              300 of 300, none lost, none twice');
    expect(stdout).toContain('without interruption     the same bits');
  });
});

async function runDemo(args: readonly string[], program = demo) {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output.stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output.stderr += text));
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject).once('close', resolve);
  });
  return { code, ...output };
}
