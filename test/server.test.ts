// The process: what it prints, how it starts, how it ends.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { describeLong, sample } from './helpers/long.ts';
import { describeWith } from './helpers/needs.ts';
import { type RunningServer, startServer, until } from './helpers/process.ts';
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

/** POSTs a body to /v1/sequence; resolves when the server has received it. The connection stays open. */
async function begin(server: RunningServer, body: unknown) {
  const headers = { 'content-type': 'application/json' };
  const agent = new Agent({ keepAlive: true });
  const sent = request(`${server.url}/v1/sequence`, { method: 'POST', headers, agent });
  const answer = once(sent, 'response').then(async ([response]: IncomingMessage[]) => ({
    status: response!.statusCode,
    body: JSON.parse((await response!.toArray()).join('')) as { h: number[][] },
  }));
  sent.end(JSON.stringify(body));
  await once(sent, 'finish');
  // It is in the system's buffers. Between two of these answers the server reads what has arrived.
  for (let k = 0; k < 20; k++) await (await fetch(`${server.url}/health/live`)).arrayBuffer();
  return { answer };
}

/** About half a second of work, and few numbers in the answer. */
function longSequence() {
  const input = randomRecurrence({ T: 1_000, N: 64, D: 1, H: 256 }, 1);
  const { T, N, weights, x } = input;
  return { weights: weightsBody(weights), x: nested(x, [T, N, 1]), outputs: ['h'] };
}

/** For the tests that do not look at its whole log; the last of them stops it. */
let shared: RunningServer;
beforeAll(async () => {
  shared = await startServer({ REQUEST_TIMEOUT_MS: '1000', DRAIN_DELAY_MS: '1500' });
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

/** Started otherwise, for the tests that look at its log, or at what its settings change. */
let other: RunningServer;
beforeAll(async () => {
  other = await startServer({ HOST: '0.0.0.0', ALLOW_ANONYMOUS: 'true', KERNEL: 'simd128', LOG_LEVEL: 'trace', BODY_BYTES_MAX: '100000' });
});

describe('the process', () => {
  test.each([
    ['127.0.0.1', () => shared, 'this machine only', []],
    ['0.0.0.0', () => other, 'WARNING: all who reach this address', [expect.stringMatching(/without API keys.*API_KEYS_FILE/)]],
  ])('at %s the log reports that there are no API keys, with a warning if others reach it', async (_, server, who, warnings) => {
    // It is read from a pipe, perhaps later than the service is ready.
    await expect.poll(() => server().output()).toContain(`${who}; there are no API keys`);
    const output = server().output();
    expect(output.split('\n').filter((line) => line.startsWith('{"level":40'))).toEqual(warnings);
  });

  test('the process runs without 256-bit vectors on request, and logs which kernels it runs', async () => {
    const kernelOf = async (server: RunningServer) => {
      const ready = await fetch(`${server.url}/health/ready`);
      const { kernel } = (await ready.json()) as { kernel: string };
      return kernel;
    };
    expect(await kernelOf(other)).toBe('simd128');
    await expect.poll(() => other.output()).toContain('"kernel":"simd128"');
    const is256 = process.arch === 'x64' && /^v2[46]\./.test(process.version);
    expect(await kernelOf(shared)).toBe(is256 ? 'simd256' : 'simd128');
  });

  test('the process lists every problem of its configuration at once and exits with 78', () => {
    const { status, stderr, stdout } = run(['src/server.ts'], { PORT: 'http', WORKERS: '0' });
    expect(status).toBe(78);
    expect(stdout).toBe('');
    expect(stderr.trim().split('\n')).toEqual([
      'Invalid configuration:',
      '  PORT must be an integer, of the digits 0 to 9 only, got "http"',
      '  WORKERS must be >= 1, got "0"',
    ]);
  });

  test('the process reports in one line that its port is in use, and exits with 1', () => {
    const { status, stderr } = run(['src/server.ts'], {
      PORT: String(shared.port),
      LOG_LEVEL: 'silent',
    });
    expect(status).toBe(1);
    expect(stderr).toMatch(/^Cannot listen: .*EADDRINUSE.* HOST and PORT\.\n$/);
  });

  test('the process refuses an old Node.js with one clear line', () => {
    const guard = pathToFileURL(join(root, 'src/require-node.mjs')).href;
    const as = (version: string) =>
      run([
        '-e',
        `Object.defineProperty(process.versions, 'node', { value: '${version}' }); import('${guard}')`,
      ]);
    for (const version of sample(['20.20.2', '22.23.3', '24.2.0'], 1)) {
      const { status, stderr } = as(version);
      expect(status).toBe(78);
      expect(stderr).toBe(`Carryover needs Node.js >= 24.3, this is ${version}.\n`);
    }
    for (const version of sample(['24.3.0', '26.10.0'], 1)) expect(as(version).status).toBe(0);
  });

  test('the process logs lines of JSON with the request id, and no numbers of a body', async () => {
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
      await fetch(`${other.url}/v1/step`, { method: 'POST', headers, body: text });
    }
    const requests = await until(other, () => {
      const whole = other.output().split('\n').slice(0, -1).filter((line) => line.startsWith('{'));
      const found = whole
        .map((line) => JSON.parse(line))
        .filter(({ msg, route }) => msg === 'request' && route === '/v1/step');
      return found.length === 4 ? found : undefined;
    });
    for (const line of requests) {
      expect(line).toMatchObject({ reqId: 'my-request', method: 'POST', route: '/v1/step' });
    }
    // Each is logged when its answer has left, so in any order.
    const statuses = requests.map(({ statusCode }) => statusCode as number);
    expect(statuses.toSorted((a, b) => a - b)).toEqual([200, 400, 400, 422]);
    expect(other.output()).not.toMatch(/0\.1234|canary/);
  });
});

describe('a process with settings that cannot be used', () => {
  test.each([
    ['MODELS_DIR', '/does/not/exist', /^Cannot start: MODELS_DIR is not a folder that can be read: .*\/does\/not\/exist.*\n$/],
    ['MODELS_DIR', '/etc/passwd', /^Cannot start: MODELS_DIR is not a folder that can be read: ENOTDIR.*\n$/],
    ['AUDIT_LOG', root, /^Cannot start: AUDIT_LOG is not a file that can be written: EISDIR.*`-` for stdout.*\n$/],
  ])('%s=%s is named in one line, and the exit code is 78', (name, value, message) => {
    const { status, stderr } = run(['src/server.ts'], { PORT: '0', [name]: value });
    expect(stderr).toMatch(message);
    expect(status).toBe(78);
  });

  test('an address of Redis that is not understood is listed with the other problems, without its password', () => {
    const { status, stderr, stdout } = run(['src/server.ts'], { STORE_URL: 'redis://u:secret%zz@h', PORT: '-1' });
    expect(stderr).toMatch(/^Invalid configuration:\n {2}PORT must be .*\n {2}STORE_URL has a % in the user or password that begins no .*\n$/);
    expect(status).toBe(78);
    expect(stdout + stderr).not.toContain('secret');
  });
});

// The short form has others that cannot start.
describeLong('a process that cannot start', () => {
  test('the process does not listen for other machines without keys, and says how to make one', () => {
    const { status, stderr } = run(['src/server.ts'], { HOST: '0.0.0.0' });
    expect(status).toBe(78);
    expect(stderr).toMatch(/HOST=0\.0\.0\.0 is reached from other machines.*carryover key new.*API_KEYS_FILE.*ALLOW_ANONYMOUS=true/);
  });

  test('the process does not start with a file of keys that it cannot read', () => {
    const { status, stderr } = run(['src/server.ts'], { API_KEYS_FILE: '/none/keys.json' });
    expect(status).toBe(78);
    expect(stderr).toMatch(/^Cannot start: API_KEYS_FILE: \/none\/keys\.json cannot be read: .*carryover key new/);
  });

  test.runIf(process.arch === 'x64')('the process says in one line that its processor has no fused multiply-add, and exits 1', () => {
    // Makes V8 take this processor for one without FMA3.
    const { status, stdout, stderr } = run(['--no-enable-fma3', 'src/server.ts'], { PORT: '0' });
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(/^Cannot start: Self-test failed: .* no fused multiply-add: .* FMA3, or arm64\.\n$/);
  });
});

describe('a body larger than the limit', () => {
  test('the request is answered 413 even while the client is still sending', async () => {
    for (const size of [100_001, 1_000_000, 20_000_000]) {
      const response = await fetch(`${other.url}/v1/step`, {
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
          'POST /v1/step HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n' +
            'content-length: 100\r\n\r\n{',
        ),
      );
      let received = '';
      socket.on('data', (chunk) => {
        received += chunk;
      });
      socket.on('close', () => resolve(received));
    });
    // It is 10 s by default.
    expect(performance.now() - start).toBeLessThan(8_000);
    expect(text).toMatch(/^HTTP\/1.1 408 /);
    expect(JSON.parse(text.split('\r\n\r\n')[1]!).code).toBe('request_timeout');
  });
});

// The last one: it ends the service of the others.
describe('the end of the process', () => {
  test('SIGTERM makes the process not ready at once; it completes what runs and exits with 0', async () => {
    const server = shared;
    const small = { weights: { W_x: [[1]], W_h: [[1]] }, x: [[0.5]] };
    expect((await post(`${server.url}/v1/step`, small)).status).toBe(200);
    const running = await begin(server, longSequence());
    const stopped = server.stop();
    const ready = await until(server, async () => {
      const response = await fetch(`${server.url}/health/ready`);
      return response.status === 503 ? response : undefined;
    });
    expect(await ready.json()).toMatchObject({ reasons: ['shutting down'] });
    expect((await fetch(`${server.url}/health/live`)).status).toBe(200);
    expect((await post(`${server.url}/v1/step`, small)).status).toBe(200);

    const { status, body } = await running.answer;
    expect(status).toBe(200);
    expect(body.h).toHaveLength(64);
    // Soon, though the client keeps its connection open: otherwise it would wait for SHUTDOWN_TIMEOUT_MS, or longer.
    const start = performance.now();
    expect(await stopped, server.output()).toBe(0);
    expect(performance.now() - start).toBeLessThan(10_000);
    await expect(fetch(`${server.url}/health/live`)).rejects.toThrow();
  });
});
