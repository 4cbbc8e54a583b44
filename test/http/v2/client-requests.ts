// Requests to /v2 byte for byte as clients send them: the names and the order of their headers, the layout of their JSON.
import { gzipSync } from 'node:zlib';

export interface ClientRequest {
  readonly path: string;
  readonly headers: Readonly<Record<string, string | number>>;
  readonly body?: string | Buffer | undefined;
}

/** One float32, 0.58. */
export const X = Buffer.from('e17a143f', 'hex');
const BINARY_X = '{"name":"x","shape":[1,1],"datatype":"FP32","parameters":{"binary_data_size":4}}';
const JSON_X = '{"name":"x","shape":[1,1],"datatype":"FP32","data":[0.5799999833106995]}';

/** A request as text and bytes. */
export function bytesOf({ path, headers, body = '' }: ClientRequest): Buffer {
  const method = headers['content-length'] === undefined && body === '' && !path.includes('repository') ? 'GET' : 'POST';
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`), Buffer.from(body)]);
}

/** tritonclient.http of Python: no Content-Type, and the length header only if tensors follow the JSON. */
export function tritonPython(path: string, json?: string, raw?: Buffer, gzip = false): ClientRequest {
  const whole = json === undefined ? undefined : Buffer.concat([Buffer.from(json), raw ?? Buffer.alloc(0)]);
  const body = whole && gzip ? gzipSync(whole) : whole;
  return {
    path,
    headers: {
      'user-agent': 'python/gevent-http-client-2.0.8',
      ...(gzip && { 'content-encoding': 'gzip' }),
      ...(raw && { 'inference-header-content-length': json!.length }),
      host: '127.0.0.1:8000',
      ...(body && { 'content-length': body.length }),
    },
    body,
  };
}

/** The C++ client of Triton, and perf_analyzer with it: the length header always, also if all of the body is JSON. */
export function tritonCpp(path: string, json: string, raw?: Buffer): ClientRequest {
  const body = Buffer.concat([Buffer.from(json), raw ?? Buffer.alloc(0)]);
  return {
    path,
    headers: {
      Host: '127.0.0.1:8000',
      Accept: '*/*',
      'Inference-Header-Content-Length': json.length,
      'Content-Type': raw ? 'application/octet-stream' : 'application/json',
      'Content-Length': body.length,
    },
    body,
  };
}

/** InferenceRESTClient of KServe, over httpx, which asks for compressed answers. */
export function kserve(path: string, json?: string, raw?: Buffer): ClientRequest {
  const body = json === undefined ? undefined : Buffer.concat([Buffer.from(json), raw ?? Buffer.alloc(0)]);
  return {
    path,
    headers: {
      Host: '127.0.0.1:8000',
      Accept: '*/*',
      'Accept-Encoding': 'gzip, deflate, br',
      Connection: 'keep-alive',
      'User-Agent': 'python-httpx/0.23.3',
      ...(raw && { 'inference-header-content-length': json!.length }),
      ...(json !== undefined && { 'content-type': raw ? 'application/octet-stream' : 'application/json' }),
      ...(body && { 'Content-Length': body.length }),
    },
    body,
  };
}

const INFER = '/v2/models/sunspots/infer';
const KSERVE_HEAD = '{"id":"5e1f2d3c-0b1a-4c5d-8e7f-001122334455","model_name":"sunspots","inputs":[';

/** Each is answered with the y of a step of the built-in model sunspots with x = 0.58. */
export const STEPS: readonly (readonly [string, ClientRequest])[] = [
  ['tritonclient.http, bytes, all outputs', tritonPython(INFER, `{"id":"r1","inputs":[${BINARY_X}],"parameters":{"binary_data_output":true}}`, X)],
  ['tritonclient.http, bytes, one output', tritonPython(INFER, `{"inputs":[${BINARY_X}],"outputs":[{"name":"y","parameters":{"binary_data":true}}]}`, X)],
  ['tritonclient.http, bytes, an answer in JSON', tritonPython(INFER, `{"inputs":[${BINARY_X}],"outputs":[{"name":"y","parameters":{"binary_data":false}}]}`, X)],
  ['tritonclient.http, JSON', tritonPython(INFER, `{"inputs":[${JSON_X}],"outputs":[{"name":"y","parameters":{"binary_data":false}}]}`)],
  ['tritonclient.http, JSON, an answer in bytes', tritonPython(INFER, `{"inputs":[${JSON_X}],"parameters":{"binary_data_output":true}}`)],
  ['tritonclient.http, gzip', tritonPython(INFER, `{"inputs":[${BINARY_X}],"parameters":{"binary_data_output":true}}`, X, true)],
  ['tritonclient.http, gzip, JSON', tritonPython(INFER, `{"inputs":[${JSON_X}]}`, undefined, true)],
  ['tritonclient.http, a version', tritonPython('/v2/models/sunspots/versions/1/infer', `{"inputs":[${JSON_X}]}`)],
  ['the C++ client, bytes', tritonCpp(INFER, `{"id":"","inputs":[${BINARY_X}],"outputs":[{"name":"y","parameters":{"binary_data":true}}]}`, X)],
  ['the C++ client, JSON', tritonCpp(INFER, `{"inputs":[${JSON_X}],"outputs":[{"name":"y","parameters":{"binary_data":true}}]}`)],
  ['KServe, JSON', kserve(INFER, `${KSERVE_HEAD}${JSON_X}]}`)],
  ['KServe, bytes', kserve(INFER, `${KSERVE_HEAD}${BINARY_X}],"parameters":{"binary_data_output":true}}`, X)],
];

/** The parameters of a sequence as tritonclient.http sends them. */
export const tritonSequence = (id: string, start: boolean, end: boolean) =>
  tritonPython(
    INFER,
    `{"inputs":[${BINARY_X}],"parameters":{"sequence_id":${id},"sequence_start":${start},"sequence_end":${end},"binary_data_output":true}}`,
    X,
  );
