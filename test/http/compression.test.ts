// Compression of answers: only when asked for, and only where it saves bytes. Compressed requests are refused.
import { readFileSync } from 'node:fs';
import { brotliCompressSync, brotliDecompressSync, constants, gunzipSync, gzipSync, inflateSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { buildApp } from '../helpers/app.ts';
import { runs, sized } from '../helpers/long.ts';
import { describeWith } from '../helpers/needs.ts';
import { startQuickly } from '../helpers/process.ts';
import { fc } from '../helpers/seed.ts';

const MiB = 1024 * 1024;
const BYTES_MIN = 1_000;
const app = await buildApp({ COMPRESS_BYTES_MIN: String(BYTES_MIN) });
const FILE = 'application/vnd.carryover.safetensors';

const step = (rows: number) => ({
  weights: { W_x: [[0.5, -0.3, 0.7]], W_h: [[0.1, 0, 0], [0, 0.1, 0], [0, 0, 0.1]] },
  x: Array.from({ length: rows }, (_, n) => [Math.sin(n)]),
});

function ask(body: object, encoding?: string, accept = 'application/json') {
  return app.http.inject({
    method: 'POST',
    url: '/v1/step',
    headers: { accept, ...(encoding !== undefined && { 'accept-encoding': encoding }) },
    payload: body,
  });
}

function decoded({ headers, rawPayload }: Awaited<ReturnType<typeof ask>>): string {
  switch (headers['content-encoding']) {
    case 'gzip':
      return gunzipSync(rawPayload).toString();
    case 'deflate':
      return inflateSync(rawPayload).toString();
    case 'br':
      return brotliDecompressSync(rawPayload).toString();
    default:
      return rawPayload.toString();
  }
}

describe('an answer', () => {
  const large = step(200);

  test.each([
    ['gzip', 'gzip'],
    ['br', 'br'],
    ['gzip, deflate, br', 'gzip'],
    ['gzip;q=0.5, br', 'br'],
    ['*', 'br'],
    ['br;q=0, *', 'gzip'],
    ['GZIP', 'gzip'],
    ['deflate', 'deflate'],
    ['deflate, gzip;q=0.5', 'deflate'],
  ])('an answer for Accept-Encoding: %s is encoded in %s, with its length', async (accepted, encoding) => {
    const whole = await ask(large);
    const response = await ask(large, accepted);
    expect(response.headers['content-encoding']).toBe(encoding);
    expect(decoded(response)).toBe(whole.body);
    expect(response.headers['content-length']).toBe(String(response.rawPayload.length));
    expect(response.rawPayload.length).toBeLessThan(0.6 * whole.rawPayload.length);
    expect(response.headers['vary']).toBe('accept, accept-encoding');
    expect(response.headers['content-type']).toBe(whole.headers['content-type']);
  });

  test.each([undefined, '', 'identity', 'zstd, compress', 'gzip;q=0', '*;q=0', ',;=', 'identity, gzip;q=0.5'])(
    'an answer for Accept-Encoding: %s is not encoded',
    async (accepted) => {
      const response = await ask(large, accepted);
      expect(response.statusCode).toBe(200);
      expect(response.headers).not.toHaveProperty('content-encoding');
      expect(response.headers['vary']).toBe('accept, accept-encoding');
      expect(JSON.parse(response.body).h).toHaveLength(200);
    },
  );

  test('the decoded text is the same, whatever Accept-Encoding says', async () => {
    const whole = (await ask(large)).body;
    const coding = fc.constantFrom('gzip', 'br', 'identity', 'deflate', '*', 'x', '');
    const quality = fc.constantFrom('', ';q=0', ';q=0.3', ';q=1', ';q=9', ';q=x', ';', ';a=b');
    const header = fc
      .array(fc.tuple(coding, quality), { maxLength: 5 })
      .map((parts) => parts.map((part) => part.join('')).join(','));
    await fc.assert(
      fc.asyncProperty(header, async (accepted) => {
        expect(decoded(await ask(large, accepted))).toBe(whole);
      }),
      { numRuns: runs(300) },
    );
  });

  test('small answers, bytes and problems are not compressed', async () => {
    expect((await ask(step(2), 'gzip')).headers).not.toHaveProperty('content-encoding');
    const file = await ask(large, 'gzip', FILE);
    expect(file.rawPayload.length).toBeGreaterThan(BYTES_MIN);
    expect(file.headers).not.toHaveProperty('content-encoding');
    const problem = await ask({ ...large, x: [[1, 2]] }, 'gzip');
    expect(problem.headers).not.toHaveProperty('content-encoding');
  });

  test('JSON of any address is compressed', async () => {
    const headers = { 'accept-encoding': 'br' };
    const document = await app.http.inject({ url: '/openapi.json', headers });
    expect(document.headers['content-encoding']).toBe('br');
    expect(JSON.parse(decoded(document)).openapi).toBe('3.1.0');
  });
});

describeWith('linux', 'a compressed body', () => {
  // More than the memory may grow by, below.
  const zeros = Buffer.alloc(sized({ short: 96, long: 256 }) * MiB);
  const bombs = {
    gzip: gzipSync(zeros),
    br: brotliCompressSync(zeros, { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
  };

  test('the body is refused with 415, and not decompressed', async () => {
    const server = await startQuickly();
    const peakBytes = () => {
      const status = readFileSync(`/proc/${server.process.pid}/status`, 'utf8');
      return Number(/VmHWM:\s+(\d+) kB/.exec(status)![1]) * 1024;
    };
    const before = peakBytes();
    for (const [encoding, bomb] of Object.entries(bombs)) {
      expect(bomb.length).toBeLessThan(zeros.length / 500);
      for (const name of [encoding, `identity, ${encoding}`, encoding.toUpperCase()]) {
        const response = await fetch(`${server.url}/v1/step`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', 'content-encoding': name },
          body: bomb,
        });
        expect(response.status).toBe(415);
        const problem = (await response.json()) as { code: string; detail: string };
        expect(problem.code).toBe('unsupported_media_type');
        expect(problem.detail).toContain('uncompressed');
      }
    }
    expect(peakBytes() - before).toBeLessThan(64 * MiB);
    expect(await server.stop()).toBe(0);
  });
});
