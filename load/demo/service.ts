// The service that a demo calls: the one that runs, or one of its own.
import { Carryover, CarryoverError } from '../../src/client/index.ts';
import { type ServerProcess, startServer } from '../processes/server-process.ts';
import { DemoError } from './demo-error.ts';

/** Where `npm start` listens in the same environment. */
export const DEFAULT_URL = `http://127.0.0.1:${process.env.PORT || 8080}`;

export interface Service extends AsyncDisposable {
  readonly url: string;
  /** Whether it was started for the demo, and ends with it. */
  readonly isOwn: boolean;
  /** Undefined if it needs none. */
  readonly apiKey: string | undefined;
}

/**
 * @param url of a service that runs; if absent, the one at the default address, or a new one if none with the
 *   model answers there
 * @param model its name
 * @throws DemoError if no service with the model answers at `url`
 */
export async function openService(url: string | undefined, model: string): Promise<Service> {
  const apiKey = process.env.CARRYOVER_API_KEY || undefined;
  const refusal = await refusalOf(url ?? DEFAULT_URL, apiKey, model);
  if (!refusal) return { url: url ?? DEFAULT_URL, isOwn: false, apiKey, [Symbol.asyncDispose]: async () => undefined };
  if (url === undefined && refusal.status !== 401) return ownService(await startServer());
  const { origin } = new URL(url ?? DEFAULT_URL);
  throw new DemoError(sentenceOf(refusal, origin, model));
}

function ownService(server: ServerProcess): Service {
  return { url: server.url, isOwn: true, apiKey: undefined, [Symbol.asyncDispose]: () => server.stop() };
}

/** Why the model cannot be had there; undefined if it can. */
async function refusalOf(url: string, apiKey: string | undefined, model: string): Promise<CarryoverError | undefined> {
  try {
    await new Carryover(url, { apiKey, retry: false }).models.get(model);
    return undefined;
  } catch (error) {
    if (error instanceof CarryoverError) return error;
    throw error;
  }
}

function sentenceOf({ code, status }: CarryoverError, origin: string, model: string): string {
  if (code === 'no_answer') return `No service answers at ${origin}. Start it in another terminal: npm start`;
  if (status === 401) return `The service at ${origin} needs an API key: set CARRYOVER_API_KEY.`;
  return `The service at ${origin} has no model "${model}": it is another version of Carryover, or something else.`;
}
