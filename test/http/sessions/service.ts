// A service with a clock of its own and a small model, for the tests of sessions over HTTP.
import { expect } from 'vitest';
import { buildApp } from '../../helpers/app.ts';

/** D = 1, H = 2. */
export const WEIGHTS = { W_x: [[0.5, -0.25]], W_h: [[0.1, 0.2], [-0.3, 0.4]], b: [0.01, -0.02] };
export const HOUR_MS = 3_600_000;

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** Until the end of the test file. Its sessions live by `clock.nowMs`. */
export async function startService() {
  const clock = { nowMs: Date.parse('2030-01-01T00:00:00Z') };
  const app = await buildApp({}, { now: () => clock.nowMs });
  await app.post('/v1/models', { name: 'tiny', weights: WEIGHTS });

  const call = (method: Method, url: string, body?: unknown, headers: Record<string, string> = {}) =>
    app.http.inject({
      method,
      url,
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { payload: JSON.stringify(body) }),
    });

  const create = async (body: object = {}) => {
    const response = await call('POST', '/v1/sessions', { model: 'tiny', ...body });
    expect(response.statusCode, response.body).toBe(201);
    return response.json();
  };

  const step = (session: string, x: number, headers = {}) =>
    call('POST', '/v1/step', { session, x: [[x]] }, headers);

  /** The state after the steps `xs` of a call without a session. */
  const stateless = async (xs: readonly number[], h?: number[][]) => {
    const x = xs.map((value) => [[value]]);
    const response = await call('POST', '/v1/sequence', { model: 'tiny', x, h, outputs: ['h'] });
    return response.json().h;
  };

  return { app, clock, call, create, step, stateless };
}
