// Single calls of the service's HTTP API: what a measurement needs before and after its load.
import { layersJson } from '../cases/layers-json.ts';
import { post } from '../../src/cli/bench/http-calls.ts';
import type { Layer } from '../../src/layers.ts';
import { modelBody } from '../../src/cli/bench/step-case.ts';
import type { Weights } from '../../src/tensor.ts';

export { FILE_HEADERS, JSON_HEADERS, get, post, stateOfJson } from '../../src/cli/bench/http-calls.ts';

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
