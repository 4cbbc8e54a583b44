// Bodies of /v2: the length of the JSON, tensors as bytes behind it, compression, and what is refused of each, in bounded
// memory.
import type { AddressInfo } from 'node:net';
import { deflateRawSync, deflateSync, gunzipSync, gzipSync, inflateSync } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import { buildApp } from '../../helpers/app.ts';
import { runs } from '../../helpers/long.ts';
import { RawClient } from '../../helpers/raw-client.ts';
import { fc } from '../../helpers/seed.ts';

const MiB = 2 ** 20;
const BODY_BYTES_MAX = 256 * 1024;
const app = await buildApp({ BODY_BYTES_MAX: String(BODY_BYTES_MAX), COMPRESS_BYTES_MIN: '300' });
const INFER = '/v2/models/sunspots/infer';
let url: string;
let port: number;
beforeAll(async () => {
  await app.http.listen({ port: 0, host: '127.0.0.1' });
  ({ port } = app.http.server.address() as AddressInfo);
  url = `http://127.0.0.1:${port}${INFER}`;
});

type Headers = Record<string, string>;

async function post(body: Uint8Array | string, headers: Headers = {}) {
  const response = await fetch(url, { method: 'POST', body: new Blob([body as BlobPart]), headers: { 'accept-encoding': 'identity', ...headers } });
  const bytes = Buffer.from(await response.arrayBuffer());
  return { status: response.status, headers: response.headers, bytes, text: bytes.toString() };
}
const errorOf = async (body: Uint8Array | string, headers?: Headers) => {
  const { status, text } = await post(body, headers);
  expect(status, text).toBe(400);
  return JSON.parse(text).error as string;
};

const f32 = (...numbers: number[]) => Buffer.from(Float32Array.from(numbers).buffer);
const inputs = (size: unknown = 12, shape = [3, 1, 1]) =>
  JSON.stringify({ inputs: [{ name: 'x', shape, datatype: 'FP32', parameters: { binary_data_size: size } }], outputs: [{ name: 'ys' }] });
const RAW = f32(0.58, 0.6, 0.5);
const JSON_BODY = JSON.stringify({ inputs: [{ name: 'x', shape: [3, 1, 1], datatype: 'FP32', data: [0.58, 0.6, 0.5] }], outputs: [{ name: 'ys' }] });
const length = (json: string | number): Headers => ({
  'inference-header-content-length': String(typeof json === 'string' ? Buffer.byteLength(json) : json),
});
const whole = (json = inputs(), raw: Uint8Array = RAW) => Buffer.concat([Buffer.from(json), raw]);

describe('the length of the JSON', () => {
  test('it is counted in bytes, and white space may align the tensors', async () => {
    const expected = (await post(JSON_BODY)).text;
    const json = inputs();
    expect((await post(whole(), length(json))).text).toBe(expected);
    for (const spaces of [1, 2, 3, 4, 7]) {
      const padded = json + ' '.repeat(spaces);
      expect((await post(whole(padded), length(padded))).text).toBe(expected);
    }
    const named = json.replace('{"inputs"', '{"id":"é…","inputs"');
    expect(JSON.parse((await post(whole(named), length(named))).text).id).toBe('é…');
  });

  test('it may be given where all of the body is JSON', async () => {
    expect((await post(JSON_BODY, length(JSON_BODY))).status).toBe(200);
  });

  test.each<[string, Headers, RegExp]>([
    ['none', {}, /If tensors follow the JSON as bytes, the header Inference-Header-Content-Length/],
    ['0', length(0), /empty|no JSON/],
    ['one too few', length(inputs().length - 1), /JSON|end/],
    ['one too many', length(inputs().length + 1), /./],
    ['the whole body', length(whole().length), /./],
    ['beyond the body', length(whole().length + 1), /an integer of 0 to \d+, the bytes of the body, got/],
    ['negative', { 'inference-header-content-length': '-1' }, /an integer/],
    ['a fraction', { 'inference-header-content-length': '1.5' }, /an integer/],
    ['hexadecimal', { 'inference-header-content-length': '0x10' }, /an integer/],
    ['empty', { 'inference-header-content-length': '' }, /an integer/],
    ['twenty digits', { 'inference-header-content-length': '1'.repeat(20) }, /an integer/],
  ])('%s: it is refused with the reason', async (_, headers, error) => {
    expect(await errorOf(whole(), headers)).toMatch(error);
  });

  test('any length is answered, and one that cuts the JSON is never computed', async () => {
    const json = inputs();
    const body = whole();
    const check = async (bytes: number) => {
      const { status, text } = await post(body, length(bytes));
      expect(status, text).toBe(bytes === json.length ? 200 : 400);
    };
    await fc.assert(fc.asyncProperty(fc.integer({ min: 0, max: body.length + 8 }), check), { numRuns: runs(40) });
  });
});

test('a body in chunks, without its length and its type, is read', async () => {
  const [first, second] = [JSON_BODY.slice(0, 50), JSON_BODY.slice(50)];
  const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;
  const head = `POST ${INFER} HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: chunked\r\n\r\n`;
  const client = new RawClient(port, head + chunk(first) + chunk(second) + chunk(''));
  const { status, body } = await client.answer();
  client.socket.destroy();
  expect([status, body]).toEqual([200, (await post(JSON_BODY)).text]);
});

describe('tensors behind the JSON', () => {
  test.each<[string, Buffer, string, RegExp]>([
    ['the bytes are cut', RAW.subarray(0, 11), inputs(), /has binary_data_size 12, but 11 bytes are left of the 11/],
    ['no bytes follow', Buffer.alloc(0), inputs(), /12, but 0 bytes are left/],
    ['bytes are left', f32(1, 2, 3, 4), inputs(), /^4 bytes follow the tensors/],
    ['the size is not that of the shape', RAW, inputs(12, [2, 1, 1]), /binary_data_size 12, expected 8: 2 elements of FP32 in \(2, 1, 1\)/],
    ['the size is no integer', RAW, inputs('12'), /binary_data_size "12", expected 12/],
    ['the size is null', RAW, inputs(null), /binary_data_size null, expected 12/],
    ['the size is a list', RAW, inputs([12]), /binary_data_size an array of 1, expected 12/],
    ['the size is an object', RAW, inputs({}), /binary_data_size an object, expected 12/],
    ['the shape is immense', RAW, inputs(12, [2 ** 52, 2 ** 52, 2 ** 52]), /expected 3\.6\d+e\+47/],
    ['a number is not finite', f32(1, NaN, 2), inputs(), /x\/1\/0\/0|not finite|NaN/i],
  ])('%s: it is refused with the reason', async (_, raw, json, error) => {
    expect(await errorOf(whole(json, raw), length(json))).toMatch(error);
  });

  test('a size needs the header', async () => {
    expect(await errorOf(inputs())).toContain('has no header Inference-Header-Content-Length');
  });

  test('several tensors are taken in the order of the JSON, some of them from it', async () => {
    const h = Array.from({ length: 32 }, (_, k) => k / 64);
    const json = JSON.stringify({
      inputs: [
        { name: 'h', shape: [1, 32], datatype: 'FP32', parameters: { binary_data_size: 128 } },
        { name: 'x', shape: [1, 1], datatype: 'FP32', data: [0.58] },
        { name: 'lengths', shape: [1], datatype: 'INT64', parameters: { binary_data_size: 8 } },
      ],
      outputs: [{ name: 'y' }],
    });
    const raw = Buffer.concat([f32(...h), Buffer.from(BigInt64Array.of(1n).buffer)]);
    const { body } = await app.post('/v1/step', { model: 'sunspots', x: [[0.58]], h: [h] });
    expect(JSON.parse((await post(whole(json, raw), length(json))).text).outputs[0].data).toEqual(body.y);
  });

  test('random bytes in place of a body are refused', async () => {
    const check = async (bytes: Uint8Array, at: number) => {
      const { status } = await post(bytes, length(Math.min(at, bytes.length)));
      expect(status).toBe(400);
    };
    await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.nat(200), check), { numRuns: runs(40) });
  });
});

describe('a compressed request', () => {
  test.each<[string, (body: Buffer) => Buffer]>([
    ['gzip', gzipSync],
    ['deflate', deflateSync],
    ['GZIP', gzipSync],
  ])('%s: it is computed as if it were not', async (coding, compress) => {
    const expected = (await post(JSON_BODY)).text;
    const json = inputs();
    expect((await post(compress(Buffer.from(JSON_BODY)), { 'content-encoding': coding })).text).toBe(expected);
    // The header counts the bytes before compression.
    expect((await post(compress(whole()), { 'content-encoding': coding, ...length(json) })).text).toBe(expected);
  });

  test('one that is inflated to the limit is read, and one beyond it is refused with 413', async () => {
    const sized = (bytes: number) => gzipSync(Buffer.concat([Buffer.from(JSON_BODY), Buffer.alloc(bytes - JSON_BODY.length, 32)]));
    expect((await post(sized(BODY_BYTES_MAX), { 'content-encoding': 'gzip' })).status).toBe(200);
    const { status, text } = await post(sized(BODY_BYTES_MAX + 1), { 'content-encoding': 'gzip' });
    expect([status, text]).toEqual([413, expect.stringContaining('BODY_BYTES_MAX')]);
  });

  test('a bomb is refused before it is inflated: neither its memory nor the time is spent', async () => {
    const bomb = gzipSync(Buffer.alloc(160 * MiB));
    expect(bomb.length).toBeLessThan(BODY_BYTES_MAX);
    const usedBefore = app.memory.bytesUsed;
    const rssBefore = process.memoryUsage.rss();
    let client = new RawClient(port);
    const head = `POST ${INFER} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-encoding: gzip\r\ncontent-length: ${bomb.length}\r\n\r\n`;
    for (let k = 0, before = 0; k < 4; k++) {
      client.send(Buffer.concat([Buffer.from(head), bomb]));
      const { status, headers, body } = await client.answer(k - before);
      expect([status, JSON.parse(body).error]).toEqual([413, expect.stringMatching(/^The body has \d+ bytes or more/)]);
      if (headers.connection !== 'close') continue;
      client.socket.destroy();
      client = new RawClient(port);
      before = k + 1;
    }
    client.socket.destroy();
    expect(process.memoryUsage.rss() - rssBefore).toBeLessThan(64 * MiB);
    await expect.poll(() => app.memory.bytesUsed).toBeLessThanOrEqual(usedBefore);
    expect((await post(JSON_BODY)).status).toBe(200);
  });

  test.each<[string, Buffer, string, RegExp]>([
    ['cut', gzipSync(JSON_BODY).subarray(0, 40), 'gzip', /The body is not gzip, as its Content-Encoding says: unexpected end of file/],
    ['not compressed', Buffer.from(JSON_BODY), 'gzip', /The body is not gzip/],
    ['of the other coding', gzipSync(JSON_BODY), 'deflate', /The body is not deflate/],
    ['without the zlib format', deflateRawSync(JSON_BODY), 'deflate', /The body is not deflate/],
    ['empty', Buffer.alloc(0), 'gzip', /./],
  ])('one that is %s is refused', async (_, body, coding, error) => {
    expect(await errorOf(body, { 'content-encoding': coding })).toMatch(error);
  });

  test.each(['br', 'gzip, gzip', 'zstd'])('the coding %s is refused with 415', async (coding) => {
    const { status, text } = await post(JSON_BODY, { 'content-encoding': coding });
    expect([status, JSON.parse(text).error]).toEqual([415, expect.stringContaining('gzip or deflate')]);
  });

  test('one whose client leaves before its end holds nothing', async () => {
    const usedBefore = app.memory.bytesUsed;
    const body = gzipSync(JSON_BODY);
    const client = new RawClient(port, `POST ${INFER} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-encoding: gzip\r\ncontent-length: ${body.length}\r\n\r\n`);
    client.send(body.subarray(0, 30));
    await new Promise((resolve) => setTimeout(resolve, 50));
    client.socket.destroy();
    expect((await post(JSON_BODY)).status).toBe(200);
    await expect.poll(() => app.memory.bytesUsed).toBeLessThanOrEqual(usedBefore);
  });

  test('other addresses still take no compressed bodies', async () => {
    const { statusCode } = await app.http.inject({
      method: 'POST',
      url: '/v1/step',
      headers: { 'content-encoding': 'gzip', 'content-type': 'application/json' },
      payload: gzipSync('{}'),
    });
    expect(statusCode).toBe(415);
  });
});

describe('an answer in bytes', () => {
  const json = JSON.stringify({ inputs: [{ name: 'x', shape: [20, 1, 1], datatype: 'FP32', data: Array(20).fill(0.5) }], parameters: { binary_data_output: true } });

  test.each<[string, (bytes: Buffer) => Buffer]>([
    ['gzip', gunzipSync],
    ['deflate', inflateSync],
  ])('it is compressed with %s if that is all the client asks for', async (coding, decompress) => {
    const plain = await post(json);
    // fetch() would decompress it, and hide how it came.
    const client = new RawClient(port, `POST ${INFER} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept-encoding: ${coding}\r\ncontent-length: ${json.length}\r\n\r\n${json}`);
    const { headers, body } = await client.answer();
    client.socket.destroy();
    expect(headers).toMatchObject({ 'content-encoding': coding, 'content-type': 'application/octet-stream' });
    expect(headers['inference-header-content-length']).toBe(plain.headers.get('inference-header-content-length'));
    expect(decompress(Buffer.from(body, 'latin1')).equals(plain.bytes)).toBe(true);
  });

  test('it is not compressed for clients that always ask', async () => {
    const { headers } = await post(json, { 'accept-encoding': 'gzip, deflate, br' });
    expect(headers.has('content-encoding')).toBe(false);
  });
});
