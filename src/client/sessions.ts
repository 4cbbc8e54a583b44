// Sessions of the service: created, listed and opened.
import type { StatesLike } from './computation.ts';
import { jsonText, parseJson } from './json.ts';
import { pages } from './pages.ts';
import { randomKey } from './random.ts';
import { Session } from './session.ts';
import { JSON_TYPE, type Transport } from './transport.ts';
import { type SessionInfo, infoOf } from './types.ts';
import type { ModelSource } from './weights.ts';

export type SessionOptions = ModelSource & {
  /** Mini-batch of every call; that of h or c, or 1. */
  readonly N?: number;
  /** First states; zeros if absent. */
  readonly h?: StatesLike;
  readonly c?: StatesLike;
  /** Idle lifetime in seconds, from each change on. */
  readonly ttl_s?: number;
  /** How many past states are kept for rewind(). */
  readonly keep?: number;
  readonly signal?: AbortSignal | undefined;
};

export class Sessions {
  readonly #transport: Transport;

  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** A new session at t = 0; one, however often the call had to be sent. @throws CarryoverError */
  async create({ signal, ...wanted }: SessionOptions): Promise<Session> {
    const body = { type: JSON_TYPE, data: jsonText(wanted) };
    const { bytes, headers } = await this.#transport.send({ method: 'POST', path: 'v1/sessions', body, key: randomKey(), signal });
    return new Session(this.#transport, infoOf(parseJson(bytes)), headers.get('etag') ?? undefined);
  }

  /** A session that exists, at its present state. @throws CarryoverError */
  async open(id: string, { signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<Session> {
    const path = `v1/sessions/${encodeURIComponent(id)}`;
    const { bytes, headers } = await this.#transport.send({ method: 'GET', path, accept: JSON_TYPE, signal });
    return new Session(this.#transport, infoOf(parseJson(bytes)), headers.get('etag') ?? undefined);
  }

  /** All sessions, or those of a model, in the order of their ids. */
  list({ model, signal }: { readonly model?: string; readonly signal?: AbortSignal | undefined } = {}): AsyncIterable<SessionInfo> {
    return pages<SessionInfo>(this.#transport, 'v1/sessions', 'sessions', model === undefined ? {} : { model }, signal);
  }
}
