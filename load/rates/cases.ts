// What is sent at each rate: one step of a mini-batch, a step of one of many sessions, or steps of many in one call.
import { Carryover, type Tensor } from '../../src/client/index.ts';
import { JSON_HEADERS } from '../../src/cli/bench/http-calls.ts';
import type { HttpTarget } from '../../src/cli/bench/http-target.ts';
import { fill } from '../../src/cli/bench/pseudo-random-tensors.ts';
import { expectSameBits } from '../../src/cli/bench/same-bits.ts';
import { makeTargets } from '../../src/cli/bench/targets.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { referenceModel } from '../../src/wasm/reference/model.ts';
import { makeLayer } from '../cases/layer.ts';
import { createSessions } from '../clients/api.ts';

export const MODES = ['steps', 'sessions', 'batch'] as const;
export type Mode = (typeof MODES)[number];

export interface CaseOptions {
  readonly mode: Mode;
  /** That are stepped in turn. */
  readonly sessions: number;
  /** Of a batch. */
  readonly items: number;
}

export interface LoadCase {
  /** At one service. */
  readonly target: HttpTarget;
  /** Steps that one request takes. */
  readonly steps: number;
  /** To be called after the load. @throws Error unless the sessions took exactly the steps that were answered */
  readonly check: () => Promise<void>;
}

const D = 128;
const H = 128;
const LAYERS = [makeLayer(pseudoRandom(1), 'lstm', D, H)];
const X = fill(pseudoRandom(2), D, 1);
const NUMBERS = JSON.stringify([[...X]]);

export function describeCase({ mode, sessions, items }: CaseOptions): string {
  if (mode === 'steps') return 'POST /v1/step in JSON, N=1, D=H=128, a registered model of one tanh layer';
  const what = mode === 'sessions' ? 'POST /v1/step' : `POST /v1/batch of ${items} steps`;
  return `${what} on ${sessions} sessions in turn, N=1, D=H=128, an LSTM`;
}

/** @param url of the service, without a slash at its end */
export async function makeCase(url: string, options: CaseOptions): Promise<LoadCase> {
  if (options.mode === 'steps') return stepCase(url);
  const sessions = await createSessions(url, LAYERS, options.sessions);
  const calls = options.mode === 'sessions' ? 1 : options.items;
  const path = options.mode === 'sessions' ? '/v1/step' : '/v1/batch';
  let answered = 0;
  const target: HttpTarget = {
    name: path,
    url: url + path,
    method: 'POST',
    headers: JSON_HEADERS,
    bodies: options.mode === 'sessions' ? sessions.map(stepOf) : batchesOf(sessions, options.items),
    problemOf: (body) => {
      answered += calls;
      return body.includes('"error"') ? `an item was refused: ${body.toString().slice(0, 400)}` : undefined;
    },
  };
  return { target, steps: calls, check: () => check(url, sessions, answered) };
}

async function stepCase(url: string): Promise<LoadCase> {
  const { targets } = await makeTargets(url);
  const target = targets.find(({ name }) => name.includes('N=1 ') && name.endsWith('registered model'))!;
  return { target, steps: 1, check: async () => {} };
}

function stepOf(session: string): Buffer {
  return Buffer.from(`{"session":"${session}","x":${NUMBERS}}`);
}

/** Each session is in one of them. */
function batchesOf(sessions: readonly string[], items: number): Buffer[] {
  const count = Math.floor(sessions.length / items);
  return Array.from({ length: count }, (_, k) => {
    const own = sessions.slice(k * items, (k + 1) * items).map((session) => stepOf(session).toString());
    return Buffer.from(`{"items":[${own.join(',')}]}`);
  });
}

async function check(url: string, sessions: readonly string[], answered: number): Promise<void> {
  const carryover = new Carryover(url);
  const states = await Promise.all(sessions.map(async (id) => (await carryover.sessions.open(id)).read()));
  const taken = states.reduce((sum, { t }) => sum + t, 0);
  if (taken !== answered) throw new Error(`${answered} steps were answered, the sessions took ${taken}.`);
  const T = Math.max(1, ...states.map(({ t }) => t));
  const { hs } = referenceModel(LAYERS, { T, N: 1, x: Float32Array.from({ length: T * D }, (_, i) => X[i % D]!) });
  for (const { t, h } of states) if (t > 0) expectSameBits(`h after ${t} steps`, (h as Tensor).data, hs.subarray((t - 1) * H, t * H));
}
