// Calls of the service for the demos, as any program makes them: JSON over fetch.

/** An error whose message is printed without a stack. */
export class DemoError extends Error {}

/** A session on the service; disposing of it deletes it there. */
export interface Session extends AsyncDisposable {
  readonly id: string;
}

export class Client {
  readonly #url: string;
  readonly #signal: AbortSignal;

  /** @param signal ends the calls that wait, and refuses new ones but the deletion of sessions */
  constructor(url: string, signal: AbortSignal) {
    this.#url = url;
    this.#signal = signal;
  }

  /** @throws DemoError if the answer is not 2xx, or there is none */
  async post<Answer>(path: string, body: object): Promise<Answer> {
    const { status, text } = await this.#post(path, body).catch((cause: unknown) => {
      throw new DemoError(`POST ${path} got no answer from ${this.#url}.`, { cause });
    });
    if (status < 300) return JSON.parse(text) as Answer;
    throw new DemoError(`POST ${path} was answered with ${status}: ${text}`);
  }

  /** A session of a model with N = 1 from the zero state. */
  async createSession(model: string): Promise<Session> {
    const { id } = await this.post<{ id: string }>('/v1/sessions', { model });
    return this.#session(id);
  }

  /** A new session that starts from the state of `session`. */
  async fork(session: Session): Promise<Session> {
    const { id } = await this.post<{ id: string }>(`/v1/sessions/${session.id}/fork`, {});
    return this.#session(id);
  }

  async #post(path: string, body: object): Promise<{ status: number; text: string }> {
    const answer = await fetch(new URL(path, this.#url), {
      method: 'POST',
      // On one machine compressing costs more than it saves; fetch asks for it by default.
      headers: { 'content-type': 'application/json', 'accept-encoding': 'identity' },
      body: JSON.stringify(body),
      signal: this.#signal,
    });
    return { status: answer.status, text: await answer.text() };
  }

  #session(id: string): Session {
    const url = new URL(`/v1/sessions/${id}`, this.#url);
    // A service that has ended keeps the session until its ttl is over.
    const end = () => fetch(url, { method: 'DELETE' }).then(() => undefined, () => undefined);
    return { id, [Symbol.asyncDispose]: end };
  }
}
