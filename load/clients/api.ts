// Single calls of the service's HTTP API: what a measurement needs before and after its load.
import { layersJson } from '../cases/layers-json.ts';
import type { Layer } from '../../src/layers.ts';
import { modelBody } from '../cases/step-case.ts';
import type { Weights } from '../../src/tensor.ts';

export const JSON_HEADERS = { 'content-type': 'application/json' };
export const FILE_HEADERS = { 'content-type': 'application/vnd.carryover.safetensors' };

/**
 * @returns the body of the response
 * @throws Error if there is no response, or if its status is not 2xx
 */
export async function post(
  url: string,
  body: string | Buffer,
  headers: Readonly<Record<string, string>> = JSON_HEADERS,
): Promise<Buffer> {
  return request(url, { method: 'POST', headers, body: new Uint8Array(Buffer.from(body)) });
}

/** As `post`, for a request without a body. */
export function get(url: string): Promise<Buffer> {
  return request(url, { method: 'GET' });
}

/** As `post`, for JSON on both sides. */
export async function postJson<Answer>(url: string, body: object): Promise<Answer> {
  return JSON.parse((await post(url, JSON.stringify(body))).toString()) as Answer;
}

/** @returns the model's id */
export async function registerModel(url: string, weights: Weights, name?: string): Promise<string> {
  const query = name === undefined ? '' : `?name=${name}`;
  const answer = await post(`${url}/v1/models${query}`, modelBody({ weights }));
  return (JSON.parse(answer.toString()) as { id: string }).id;
}

/** @returns the id of a model with these layers */
export async function registerLayers(url: string, layers: readonly Layer[]): Promise<string> {
  return (await postJson<{ id: string }>(`${url}/v1/models`, { layers: layersJson(layers) })).id;
}

async function request(url: string, init: RequestInit): Promise<Buffer> {
  const response = await fetch(url, init).catch((cause: unknown) => {
    throw new Error(`No service answers at ${new URL(url).origin}.`, { cause });
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  if (response.ok) return bytes;
  throw new Error(`${url} was answered with ${response.status}: ${bytes.toString().slice(0, 400)}`);
}

/** Every number of `h` in a JSON answer, row by row. */
export function stateOfJson(json: Buffer | string): Float32Array {
  const { h } = JSON.parse(json.toString()) as { h: number[][] };
  return Float32Array.from(h.flat());
}
