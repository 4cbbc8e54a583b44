// Single calls of the service's HTTP API: what a measurement needs before and after its load.
import { Carryover } from '../../src/client/index.ts';
import type { Layer } from '../../src/layers.ts';
import { post } from '../../src/cli/bench/http-calls.ts';
import { layersJson } from '../cases/layers-json.ts';

export { FILE_HEADERS, JSON_HEADERS, get, post, stateOfJson } from '../../src/cli/bench/http-calls.ts';

/** As `post`, for JSON on both sides: one request, as it is, where the time of one is measured. */
export async function postJson<Answer>(url: string, body: object): Promise<Answer> {
  return JSON.parse((await post(url, JSON.stringify(body))).toString()) as Answer;
}

/** @returns the id of a model with these layers */
export async function registerLayers(url: string, layers: readonly Layer[], name?: string): Promise<string> {
  const { id } = await new Carryover(url).models.register({ layers: layersJson(layers) }, name === undefined ? {} : { name });
  return id;
}
