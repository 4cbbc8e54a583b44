// Steps of sequences, and what they must compute, for the tests of this folder.
import { expect } from 'vitest';
import type { TestApp } from '../../helpers/app.ts';

export const LSTM = {
  name: 'lstm',
  layers: [
    { type: 'lstm', W_x: [[0.5, -0.25, 1, 0.75]], W_h: [[0.1, 0.2, -0.3, 0.4]], b: [0, 1, 0, 0] },
    { type: 'rnn', W_x: [[0.5, -0.25]], W_h: [[0.1, 0.2], [-0.3, 0.4]] },
    { type: 'dense', W: [[2], [-1]] },
  ],
};
export const XS = [0.3, -0.8, 1.2, 0.1, -0.4, 0.9];

export interface Step {
  readonly x?: number | readonly number[];
  readonly id?: unknown;
  readonly start?: boolean;
  readonly end?: boolean;
  readonly model?: string;
  readonly headers?: Record<string, string>;
  readonly states?: readonly object[];
}

export async function step(app: TestApp, { x = 0.5, id = 7, start, end, model = 'lstm', headers = {}, states = [] }: Step) {
  const xs = [x].flat();
  const idJson = typeof id === 'bigint' ? String(id) : JSON.stringify(id);
  const flags = `${start === undefined ? '' : `,"sequence_start":${start}`}${end === undefined ? '' : `,"sequence_end":${end}`}`;
  const inputs = [{ name: 'x', shape: [xs.length, 1], datatype: 'FP32', data: xs }, ...states];
  const payload = `{"inputs":${JSON.stringify(inputs)},"outputs":[{"name":"y"}],"parameters":{"sequence_id":${idJson}${flags}}}`;
  const response = await app.http.inject({ method: 'POST', url: `/v2/models/${model}/infer`, payload, headers });
  const body = response.json();
  return { status: response.statusCode, y: body.outputs?.[0].data.flat() as number[], error: body.error as string, headers: response.headers };
}

export async function register(app: TestApp) {
  expect((await app.post('/v1/models', LSTM)).status).toBe(201);
}

/** y after each step of XS. */
export async function expectedOf(app: TestApp, xs: readonly number[] = XS): Promise<number[]> {
  const { body } = await app.post('/v1/sequence', { model: 'lstm', x: xs.map((x) => [[x]]) });
  return body.ys.flat(2);
}
