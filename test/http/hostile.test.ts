// Thousands of malformed and hostile requests over real sockets (npm run test:hostile: 50,000): each one is a
// 4xx problem+json, the process stays the same, its memory stays bounded, and it goes on answering correctly.
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { Socket, connect } from 'node:net';
import { afterAll, describe, expect, test } from 'vitest';
import { ERRORS } from '../../src/error-kinds.ts';
import {
  HOSTILE_CORPUS,
  type HostileRequest,
  VALID_LAYER_REQUESTS,
  VALID_REQUEST,
  hostileRequests,
} from '../helpers/hostile.ts';
import { VALID_FILE_REQUEST, hostileLayerRequests } from '../helpers/hostile-layers.ts';
import { count } from '../helpers/long.ts';
import { describeWith } from '../helpers/needs.ts';
import { startQuickly } from '../helpers/process.ts';
import { SEED, fc } from '../helpers/seed.ts';

const REQUESTS = count('HOSTILE_REQUESTS', { short: 400, long: 2_000 });
/** Once the heap has found its size (after the first half), it may not grow by more than this. */
const RSS_GROWTH_MIB_MAX = 96;

const server = await startQuickly({ LOG_LEVEL: 'error', WORKERS: '1' });
const agent = new Agent({ keepAlive: true, maxSockets: 16 });
afterAll(async () => {
  agent.destroy();
  await server.stop();
});

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

function send({ url, body, headers }: HostileRequest): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { host: '127.0.0.1', port: server.port, method: 'POST', path: url, headers, agent },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () =>
          resolve({
            status: response.statusCode!,
            type: String(response.headers['content-type']),
            text: Buffer.concat(chunks).toString(),
          }),
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** @returns its code */
function expectProblem({ url, body, headers }: HostileRequest, { status, type, text }: Answer): string {
  const sent = `${url} ${JSON.stringify(headers)} ${body.toString().slice(0, 300)} → ${status} ${text}`;
  expect(status, sent).toBeGreaterThanOrEqual(400);
  expect(status, sent).toBeLessThan(500);
  expect(type, sent).toMatch(/^application\/problem\+json/);
  const problem = JSON.parse(text);
  expect(problem.status, sent).toBe(status);
  expect(ERRORS[problem.code as keyof typeof ERRORS]?.status, sent).toBe(status);
  expect(problem.detail, sent).not.toBe('');
  expect(text.length, sent).toBeLessThan(2_000);
  return problem.code;
}

function rssMiB(): number {
  const status = readFileSync(`/proc/${server.process.pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+)/.exec(status)![1]) / 1024;
}

describe('malformed and hostile requests', () => {
  test('each request of the corpus is refused, and a valid request right after each is answered', async () => {
    const good = await send(VALID_REQUEST);
    expect(good.status).toBe(200);
    for (const valid of [...VALID_LAYER_REQUESTS, VALID_FILE_REQUEST]) expect((await send(valid)).status).toBeLessThan(300);
    for (const hostile of HOSTILE_CORPUS) {
      expectProblem(hostile, await send(hostile));
      expect(await send(VALID_REQUEST)).toEqual(good);
    }
  });
});

describeWith('linux', 'the memory of hostile requests', () => {
  test.each([
    ['random requests', hostileRequests],
    ['random requests with layers', hostileLayerRequests],
  ])(`${REQUESTS} %s do not make the memory grow`, { timeout: 600_000 }, async (_, arbitrary) => {
    const good = await send(VALID_REQUEST);
    const requests = fc.sample(arbitrary, { numRuns: REQUESTS, seed: SEED });
    const rss = [rssMiB()];
    const codes = new Map<string, number>();
    for (let start = 0; start < requests.length; start += 100) {
      const hundred = requests.slice(start, start + 100);
      const responses = await Promise.all(hundred.map(send));
      for (const [i, hostile] of hundred.entries()) {
        const code = expectProblem(hostile, responses[i]!);
        codes.set(code, (codes.get(code) ?? 0) + 1);
      }
      expect(await send(VALID_REQUEST)).toEqual(good);
      if (start + 100 === Math.ceil(REQUESTS / 200) * 100) rss.push(rssMiB());
    }
    rss.push(rssMiB());
    expect(server.process.exitCode).toBeNull();
    console.log(`resident MiB before, half-way and after: ${rss.map(Math.round).join(', ')}`);
    console.log([...codes].map(([code, count]) => `${code} ${count}`).join(', '));
    // They are refused for many reasons, not all by the first check.
    expect(codes.size).toBeGreaterThan(5);
    expect(rss[2]! - rss[1]!).toBeLessThan(RSS_GROWTH_MIB_MAX);
  });
});

/** Writes raw bytes and returns what is received until the server closes the connection. */
function sendRaw(bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect(server.port, '127.0.0.1', () => socket.write(bytes));
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
  });
}

describe('input that is not HTTP', () => {
  test.each([
    ['a wrong method', 'NONSENSE / HTTP/1.1\r\n\r\n', 400, 'invalid_request'],
    ['no HTTP at all', '\x16\x03\x01\x02\x00\x01', 400, 'invalid_request'],
    [
      'too many headers',
      `GET / HTTP/1.1\r\nhost: localhost\r\n${'a: b\r\n'.repeat(5_000)}\r\n`,
      431,
      'headers_too_large',
    ],
    [
      'a content length and chunks',
      'POST /v1/step HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n',
      400,
      'invalid_request',
    ],
  ])('%s is answered with a problem, then the connection is closed', async (_, bytes, status, code) => {
    const response = await sendRaw(bytes);
    expect(response).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(JSON.parse(response.split('\r\n\r\n')[1]!).code).toBe(code);
  });
});
