// What is measured: a request that computes nothing, and steps with the weights in every request, with a registered
// model, and with that model as bytes. Before anything is timed, each answer is compared with the reference, bit by bit.
import { readSafetensors } from '../../codec/safetensors/read.ts';
import { FILE_HEADERS, JSON_HEADERS, get, post, request, stateOfJson } from './http-calls.ts';
import type { HttpTarget } from './http-target.ts';
import { expectSameBits } from './same-bits.ts';
import { type StepCase, makeStepCase, modelBody, stepBody, stepFile } from './step-case.ts';

export interface Targets extends AsyncDisposable {
  /** The first computes nothing: what a step costs beyond it is the service's own work. */
  readonly targets: readonly HttpTarget[];
}

type Headers = Readonly<Record<string, string>>;

/**
 * @param url without a slash at its end
 * @param credentials the header with the API key, if the service needs one
 * @throws Error unless the answers of the service have the bits of the reference
 */
export async function makeTargets(url: string, credentials: Headers = {}): Promise<Targets> {
  const [json, file] = [{ ...JSON_HEADERS, ...credentials }, { ...FILE_HEADERS, ...credentials }];
  const [inline, registered, bytes]: [HttpTarget[], HttpTarget[], HttpTarget[]] = [[], [], []];
  const own: string[] = [];
  for (const stepCase of [makeStepCase({ N: 1, D: 128, H: 128 }), makeStepCase({ N: 32, D: 128, H: 128 })]) {
    const { id, isNew } = await register(url, stepCase, json);
    if (isNew) own.push(id);
    inline.push(await jsonTarget(url, stepCase, json));
    registered.push(await jsonTarget(url, stepCase, json, id));
    bytes.push(await fileTarget(url, stepCase, file, id));
  }
  const live = `${url}/health/live`;
  const baseline = { name: '/health/live', url: live, method: 'GET', expectBody: (await get(live)).toString() } as const;
  const remove = async () => {
    for (const id of own) await request(`${url}/v1/models/${id}`, { method: 'DELETE', headers: credentials }).catch(() => undefined);
  };
  return { targets: [baseline, ...inline, ...registered, ...bytes], [Symbol.asyncDispose]: remove };
}

/** A model that the service had before is left there. */
async function register(url: string, stepCase: StepCase, headers: Headers): Promise<{ id: string; isNew: boolean }> {
  const init = { method: 'POST', headers, body: modelBody(stepCase) };
  const { status, body } = await request(`${url}/v1/models`, init);
  return { id: (JSON.parse(body.toString()) as { id: string }).id, isNew: status === 201 };
}

/** @throws Error unless the service's answer has the bits of the reference */
async function jsonTarget(url: string, stepCase: StepCase, headers: Headers, model?: string): Promise<HttpTarget> {
  const name = nameOf(stepCase, model === undefined ? 'weights inline' : 'registered model');
  const body = Buffer.from(stepBody(stepCase, model));
  const target = { name, url: `${url}/v1/step`, method: 'POST', headers, body } as const;
  const answer = (await post(target.url, body, headers)).toString();
  expectSameBits(`${name}: h`, stateOfJson(answer), stepCase.expected);
  return { ...target, expectBody: answer };
}

/** @throws Error unless the service's answer has the bits of the reference */
async function fileTarget(url: string, stepCase: StepCase, headers: Headers, model: string): Promise<HttpTarget> {
  const name = nameOf(stepCase, 'registered model, bytes');
  const body = stepFile(stepCase, model);
  const target = { name, url: `${url}/v1/step`, method: 'POST', headers, body } as const;
  const answer = await post(target.url, body, headers);
  const { data } = readSafetensors(answer).get('h')!;
  expectSameBits(`${name}: h`, Float32Array.from(data), stepCase.expected);
  return target;
}

function nameOf({ N, weights: { D, H } }: StepCase, source: string): string {
  return `/v1/step N=${N} D=${D} H=${H}, ${source}`;
}
