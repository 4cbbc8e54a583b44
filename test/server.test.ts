// The process: what it prints, how it starts, how it ends.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { describeWith } from './helpers/needs.ts';
import { type RunningServer, startServer } from './helpers/process.ts';
import { nested, randomRecurrence, weightsBody } from './helpers/recurrence.ts';

const root = join(import.meta.dirname, '..');
const run = (args: string[], env: Record<string, string> = {}) =>
  spawnSync(process.execPath, args, {
    cwd: root,
    env: { ...process.env, STORE_URL: 'memory:', ...env },
    encoding: 'utf8',
  });

const post = (url: string, body: unknown) =>
  fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

/** About a second of work, and few numbers in the answer. */
function longSequence() {
  const input = randomRecurrence({ T: 2_000, N: 64, D: 1, H: 256 }, 1);
  const { T, N, weights, x } = input;
  return { weights: weightsBody(weights), x: nested(x, [T, N, 1]), outputs: ['h'] };
}

/** For the tests that neither stop it nor look at its whole log. */
let shared: RunningServer;
beforeAll(async () => {
  shared = await startServer({ BODY_BYTES_MAX: '100000', REQUEST_TIMEOUT_MS: '1000' });
});

describeWith('curl', 'the greeting', () => {
  test('the greeting has the addresses and a curl command that works as printed', async () => {
    const greeting = shared.output();
    expect(greeting).toContain(`${shared.url}/docs`);
    const curl = /curl (.|\n)+/.exec(greeting)![0];
    const { stdout, status } = spawnSync('bash', ['-c', curl], { encoding: 'utf8' });
    expect(status).toBe(0);
    expect(Object.keys(JSON.parse(stdout))).toEqual(['h']);
  });
});

describe('the process', () => {
  test.each([
    ['127.0.0.1', false, 'this machine only'],
    ['0.0.0.0', true, 'WARNING: all who reach this address'],
  ])('at %s the log reports that there is no authentication, with a warning: %s', async (HOST, warns, who) => {
    const server = await startServer({ HOST });
    expect(await server.stop()).toBe(0);
    expect(server.output()).toContain(`${who}; there is no authentication`);
    const warnings = server.output().split('\n').filter((line) => line.startsWith('{"level":40'));
    const expected = expect.stringMatching(/without authentication.*HOST=127\.0\.0\.1/);
    expect(warnings).toEqual(warns ? [expected] : []);
  });

  test('the process runs without 256-bit vectors on request, and logs which kernels it runs', async () => {
    const kernelOf = async (server: RunningServer) => {
      const ready = await fetch(`${server.url}/health/ready`);
      const { kernel } = (await ready.json()) as { kernel: string };
      return kernel;
    };
    const narrow = await startServer({ KERNEL: 'simd128', LOG_LEVEL: 'info' });
    expect(await kernelOf(narrow)).toBe('simd128');
    expect(await narrow.stop()).toBe(0);
    expect(narrow.output()).toContain('"kernel":"simd128"');
    const is256 = process.arch === 'x64' && /^v2[46]\./.test(process.version);
    expect(await kernelOf(shared)).toBe(is256 ? 'simd256' : 'simd128');
  });

  test('the process lists every problem of its configuration at once and exits with 78', () => {
    const { status, stderr, stdout } = run(['src/server.ts'], { PORT: 'http', WORKERS: '0' });
    expect(status).toBe(78);
    expect(stdout).toBe('');
    expect(stderr.trim().split('\n')).toEqual([
      'Invalid configuration:',
      '  PORT must be integer, got "http"',
      '  WORKERS must be >= 1, got "0"',
    ]);
  });

  test('the process reports in one line that its model folder cannot be read, and exits with 1', () => {
    const { status, stderr } = run(['src/server.ts'], { MODELS_DIR: '/does/not/exist' });
    expect(status).toBe(1);
    expect(stderr).toMatch(/^Cannot start: .*\/does\/not\/exist.*\n$/);
  });

  test('the process reports in one line that its port is in use, and exits with 1', () => {
    const { status, stderr } = run(['src/server.ts'], {
      PORT: String(shared.port),
      LOG_LEVEL: 'silent',
    });
    expect(status).toBe(1);
    expect(stderr).toMatch(/^Cannot listen: .*EADDRINUSE.* HOST and PORT\.\n$/);
  });

  test.runIf(process.arch === 'x64')('the process says in one line that its processor has no fused multiply-add, and exits 1', () => {
    // Makes V8 take this processor for one without FMA3.
    const { status, stdout, stderr } = run(['--no-enable-fma3', 'src/server.ts'], { PORT: '0' });
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^Cannot start: Self-test failed: .* no fused multiply-add: .* FMA3, or arm64\.\n$/);
  });

  test('the process refuses an old Node.js with one clear line', () => {
    const guard = pathToFileURL(join(root, 'src/require-node.mjs')).href;
    const as = (version: string) =>
      run([
        '-e',
        `Object.defineProperty(process.versions, 'node', { value: '${version}' }); import('${guard}')`,
      ]);
    for (const version of ['20.20.2', '22.23.3', '24.2.0']) {
      const { status, stderr } = as(version);
      expect(status).toBe(78);
      expect(stderr).toBe(`Carryover needs Node.js >= 24.3, this is ${version}.\n`);
    }
    for (const version of ['24.3.0', '26.10.0']) expect(as(version).status).toBe(0);
  });

  test('SIGTERM makes the process not ready at once; it completes what runs and exits with 0', async () => {
    const server = await startServer({ DRAIN_DELAY_MS: '1500' });
    const body = longSequence();
    const small = { weights: { W_x: [[1]], W_h: [[1]] }, x: [[0.5]] };
    expect((await post(`${server.url}/v1/step`, small)).status).toBe(200);
    const running = post(`${server.url}/v1/sequence`, body);
    await sleep(300);
    const stopped = server.stop();
    await sleep(50);
    const ready = await fetch(`${server.url}/health/ready`);
    expect(ready.status).toBe(503);
    expect(await ready.json()).toMatchObject({ reasons: ['shutting down'] });
    expect((await fetch(`${server.url}/health/live`)).status).toBe(200);
    expect((await post(`${server.url}/v1/step`, small)).status).toBe(200);

    const response = await running;
    expect(response.status).toBe(200);
    expect(((await response.json()) as { h: number[][] }).h).toHaveLength(64);
    expect(await stopped, server.output()).toBe(0);
    await expect(fetch(`${server.url}/health/live`)).rejects.toThrow();
  });

  test('the process exits soon after the last answer, though the client keeps its connection open', async () => {
    const server = await startServer();
    const running = post(`${server.url}/v1/sequence`, longSequence());
    await sleep(300);
    const stopped = server.stop();
    expect((await running).status).toBe(200);
    const start = performance.now();
    expect(await stopped, server.output()).toBe(0);
    expect(performance.now() - start).toBeLessThan(2_000);
  });

  test('the process logs lines of JSON with the request id, and no numbers of a body', async () => {
    const server = await startServer({ LOG_LEVEL: 'trace' });
    const canary = 0.123456789;
    const weights = { W_x: [[canary]], W_h: [[canary]] };
    const headers = {
      'content-type': 'application/json',
      'x-request-id': 'my-request',
      authorization: 'Bearer canary-token',
    };
    for (const text of [
      JSON.stringify({ weights, x: [[canary]] }),
      JSON.stringify({ weights, x: [[canary, 1e39]] }),
      JSON.stringify({ weights, x: [[canary, null]], y: canary }),
      JSON.stringify({ weights, x: [[3e38]] }).replace('}', '},'),
    ]) {
      await fetch(`${server.url}/v1/step`, { method: 'POST', headers, body: text });
    }
    await server.stop();
    const lines = server
      .output()
      .split('\n')
      .filter((line) => line.startsWith('{'));
    const requests = lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'request');
    expect(requests).toHaveLength(4);
    for (const line of requests) {
      expect(line).toMatchObject({ reqId: 'my-request', method: 'POST', url: '/v1/step' });
    }
    // Each is logged when its answer has left, so in any order.
    const statuses = requests.map(({ statusCode }) => statusCode as number);
    expect(statuses.toSorted((a, b) => a - b)).toEqual([200, 400, 400, 422]);
    expect(lines.join('')).not.toMatch(/0\.1234|canary/);
  });
});

describe('a body larger than the limit', () => {
  test('the request is answered 413 even while the client is still sending', async () => {
    for (const size of [100_001, 1_000_000, 20_000_000]) {
      const response = await fetch(`${shared.url}/v1/step`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: ' '.repeat(size),
      });
      expect(response.status).toBe(413);
      expect(((await response.json()) as { code: string }).code).toBe('body_too_large');
    }
  });
});

describe('a slow client', () => {
  test('a client that does not complete its request in time gets 408, in that time', async () => {
    const { connect } = await import('node:net');
    const start = performance.now();
    const text = await new Promise<string>((resolve) => {
      const socket = connect(shared.port, '127.0.0.1', () =>
        socket.write(
          'POST /v1/step HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n' +
            'content-length: 100\r\n\r\n{',
        ),
      );
      let received = '';
      socket.on('data', (chunk) => {
        received += chunk;
      });
      socket.on('close', () => resolve(received));
    });
    expect(performance.now() - start).toBeLessThan(4_000);
    expect(text).toMatch(/^HTTP\/1.1 408 /);
    expect(JSON.parse(text.split('\r\n\r\n')[1]!).code).toBe('request_timeout');
  });
});
