// Sessions of all models in turn, for clients that repeat their calls.
import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from './client.ts';
import { MODELS, type SessionModel } from './models.ts';

export interface CreatedSession {
  readonly id: string;
  readonly model: SessionModel;
  readonly etag: string;
}

/**
 * @param keep past states of each
 * @param pauseMs before a call that was answered with 503 is repeated
 */
export async function createSessions(port: number, count: number, keep: number, pauseMs: number): Promise<CreatedSession[]> {
  const client = new Client(port);
  const create = async (body: object, path: string) => {
    for (;;) {
      const response = await client.send({ method: 'POST', path, body: JSON.stringify(body) });
      if (response.status === 201 || response.status === 200) return response;
      if (response.status !== 503) throw new Error(response.body);
      await sleep(pauseMs);
    }
  };
  for (const [at, { body }] of MODELS.entries()) await create({ name: `model-${at}`, ...body }, '/v1/models');
  const sessions: CreatedSession[] = [];
  for (let k = 0; k < count; k++) {
    const at = k % MODELS.length;
    const { body, headers } = await create({ model: `model-${at}`, keep }, '/v1/sessions');
    const { id } = JSON.parse(body) as { id: string };
    sessions.push({ id, model: MODELS[at]!, etag: headers.etag! });
  }
  client.close();
  return sessions;
}
