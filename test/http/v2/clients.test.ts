// The requests of real clients, byte for byte, and of each answer what that client reads.
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import { buildApp } from '../../helpers/app.ts';
import { RawClient } from '../../helpers/raw-client.ts';
import { type ClientRequest, STEPS, bytesOf, kserve, tritonPython, tritonSequence } from './client-requests.ts';

const app = await buildApp();
let port: number;
beforeAll(async () => {
  await app.http.listen({ port: 0, host: '127.0.0.1' });
  ({ port } = app.http.server.address() as AddressInfo);
});

interface ClientAnswer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly json: any;
  /** What follows the JSON. */
  readonly raw: Buffer;
}

async function send(request: ClientRequest): Promise<ClientAnswer> {
  const client = new RawClient(port);
  client.send(bytesOf(request));
  const { status, headers, body } = await client.answer();
  client.socket.destroy();
  const sent = Buffer.from(body, 'latin1');
  const bytes = headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent;
  const length = headers['inference-header-content-length'];
  const jsonBytes = length === undefined ? bytes.length : Number(length);
  return { status, headers, json: JSON.parse(bytes.subarray(0, jsonBytes).toString()), raw: bytes.subarray(jsonBytes) };
}

/** An output, as clients find it: in the JSON, or at its place among the bytes behind it. */
function output({ json, raw }: ClientAnswer, name: string): number[] {
  let at = 0;
  for (const { name: found, data, parameters, shape } of json.outputs) {
    const size = parameters?.binary_data_size ?? 0;
    if (found === name && data) return data.flat(Infinity);
    if (found === name) {
      expect(size).toBe(4 * shape.reduce((a: number, b: number) => a * b));
      return [...new Float32Array(Uint8Array.from(raw.subarray(at, at + size)).buffer)];
    }
    at += size;
  }
  throw new Error(`no ${name}`);
}

describe('a step', () => {
  let y: number;
  beforeAll(async () => {
    const { body } = await app.post('/v1/step', { model: 'sunspots', x: [[0.58]] });
    y = Math.fround(body.y[0][0]);
  });

  test.each(STEPS)('%s: it is answered with the bits of /v1/step', async (_, request) => {
    const answer = await send(request);
    expect(answer.status).toBe(200);
    expect(output(answer, 'y').map(Math.fround)).toEqual([y]);
    const { raw, headers, json } = answer;
    // Clients compare the type, without a charset.
    expect(headers['content-type']).toBe(raw.length > 0 ? 'application/octet-stream' : 'application/json');
    expect(headers['inference-header-content-length'] !== undefined).toBe(raw.length > 0);
    expect(headers).not.toHaveProperty('transfer-encoding');
    const id = /"id":"([^"]*)"/.exec(String(request.body))?.[1];
    expect(json.id).toBe(id);
    expect(json).toMatchObject({ model_name: 'sunspots', model_version: '1' });
  });

  test('a sequence of tritonclient.http is as a sequence of /v1, whatever the size of its id', async () => {
    const { body } = await app.post('/v1/sequence', { model: 'sunspots', x: [[[0.58]], [[0.58]], [[0.58]]] });
    const expected = body.ys.flat(2).map(Math.fround);
    for (const id of ['18446744073709551615', '18446744073709551614', '9007199254740993', '"9007199254740993"']) {
      const ys: number[] = [];
      for (const t of [0, 1, 2]) ys.push(...output(await send(tritonSequence(id, t === 0, t === 2)), 'y'));
      expect(ys, id).toEqual(expected);
    }
  });

  test('tritonclient.http raises the error of a sequence that has not started', async () => {
    const { status, json, headers } = await send(tritonSequence('5', false, false));
    expect([status, headers['content-type']]).toEqual([400, 'application/json']);
    expect(json.error).toMatch(
      /^inference request for sequence 5 to model 'sunspots' must specify the START flag on the first request of the sequence\. There is no sequence/,
    );
  });
});

describe('what is not an inference', () => {
  test.each<[string, ClientRequest, unknown]>([
    ['live of tritonclient.http', tritonPython('/v2/health/live'), { live: true }],
    ['live of KServe', kserve('/v2/health/live'), { live: true }],
    ['ready of KServe', kserve('/v2/health/ready'), { ready: true }],
    ['a model that is ready', kserve('/v2/models/sunspots/ready'), { name: 'sunspots', ready: true }],
    ['load', tritonPython('/v2/repository/models/sunspots/load', '{}'), {}],
  ])('%s', async (_, request, json) => {
    const answer = await send(request);
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/json']);
    expect(answer.json).toEqual(json);
  });

  test('the index of tritonclient.http, a POST without a body', async () => {
    const { status, json } = await send(tritonPython('/v2/repository/index'));
    expect(status).toBe(200);
    expect(json).toContainEqual({ name: 'sunspots', version: '1', state: 'READY', reason: '' });
  });

  test('unload of tritonclient.http is refused with the reason', async () => {
    const { status, json } = await send(
      tritonPython('/v2/repository/models/sunspots/unload', '{"parameters":{"unload_dependents":false}}'),
    );
    expect(status).toBe(400);
    expect(json.error).toContain('stays loaded');
  });

  test('an error that KServe reads: of this type and form', async () => {
    const { status, json, headers } = await send(kserve('/v2/models/none/infer', '{"inputs":[{"name":"x","shape":[1,1],"datatype":"FP32","data":[1]}]}'));
    expect([status, headers['content-type']]).toEqual([404, 'application/json']);
    expect(json).toEqual({ error: 'There is no model "none"; GET /v1/models lists all.' });
  });
});
