// The service that a demo calls: the one that runs, or one of its own.
import { type ServerProcess, startServer } from '../processes/server-process.ts';
import { DemoError } from './client.ts';

const DEFAULT_URL = 'http://127.0.0.1:8080';

export interface Service extends AsyncDisposable {
  readonly url: string;
  /** Whether it was started for the demo, and ends with it. */
  readonly isOwn: boolean;
}

/**
 * @param url of a service that runs; if absent, the one at the default address, or a new one if none with the
 *   model answers there
 * @param model its name
 * @throws DemoError if no service with the model answers at `url`
 */
export async function openService(url: string | undefined, model: string): Promise<Service> {
  const found = await statusOf(url ?? DEFAULT_URL, model);
  if (found === 200) return { url: url ?? DEFAULT_URL, isOwn: false, [Symbol.asyncDispose]: async () => undefined };
  if (url === undefined) return ownService(await startServer());
  const { origin } = new URL(url);
  throw new DemoError(
    found === undefined
      ? `No service answers at ${origin}. Start it in another terminal: npm start`
      : `The service at ${origin} has no model "${model}": it is another version of Carryover, or something else.`,
  );
}

function ownService(server: ServerProcess): Service {
  return { url: server.url, isOwn: true, [Symbol.asyncDispose]: () => server.stop() };
}

/** Of GET /v1/models/{model}; undefined without an answer. */
async function statusOf(url: string, model: string): Promise<number | undefined> {
  const answer = await fetch(new URL(`/v1/models/${model}`, url)).catch(() => undefined);
  await answer?.arrayBuffer();
  return answer?.status;
}
