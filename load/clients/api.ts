// Single calls of the service's HTTP API: what a measurement needs before and after its load.
import { Carryover } from '../../src/client/index.ts';
import type { Layer } from '../../src/layers.ts';
import { post } from '../../src/cli/bench/http-calls.ts';
import { CONNECTIONS } from '../../src/cli/bench/http-target.ts';
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

/** @returns the ids of new sessions of a model with these layers, N = 1 */
export async function createSessions(url: string, layers: readonly Layer[], count: number): Promise<string[]> {
  const model = await registerLayers(url, layers);
  const carryover = new Carryover(url);
  const sessions: string[] = [];
  const create = async () => {
    while (sessions.length < count) sessions.push((await carryover.sessions.create({ model })).id);
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, create));
  return sessions.slice(0, count);
}
