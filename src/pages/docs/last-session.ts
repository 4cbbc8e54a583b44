// The session of the examples: an id that stands for the session created last on this page, or for a new one.
import type { UiRequest, UiResponse } from './swagger-ui.ts';

/** As the examples have it (src/http/docs/examples.ts). */
const LAST_SESSION = 'the-session-created-last';
const SESSIONS = /\/v1\/sessions$/;

export class LastSession {
  readonly #document: () => unknown;
  #id: string | undefined;

  /** @param document the OpenAPI document, when it is loaded */
  constructor(document: () => unknown) {
    this.#document = document;
  }

  /** A request with the id in place of what stands for it. A session is created if there is none. */
  async fillIn(request: UiRequest): Promise<UiRequest> {
    const { url, body } = request;
    const isInBody = typeof body === 'string' && body.includes(LAST_SESSION);
    if (!url.includes(LAST_SESSION) && !isInBody) return request;
    const id = (this.#id ??= await this.#create(request));
    // Without one the service explains why.
    if (id === undefined) return request;
    request.url = url.replaceAll(LAST_SESSION, id);
    if (isInBody) request.body = body.replaceAll(LAST_SESSION, id);
    return request;
  }

  note(response: UiResponse): UiResponse {
    const { url, status, text } = response;
    if (status === 201 && SESSIONS.test(url)) this.#id = (JSON.parse(text ?? '{}') as { id?: string }).id;
    else if ((status === 204 || status === 410) && url.endsWith(`/v1/sessions/${this.#id}`)) this.#id = undefined;
    return response;
  }

  async #create({ url, headers }: UiRequest): Promise<string | undefined> {
    const response = await fetch(`${url.slice(0, url.indexOf('/v1/'))}/v1/sessions`, {
      method: 'POST',
      headers: { ...keysOf(headers), 'content-type': 'application/json' },
      body: JSON.stringify(this.#bodyOfExample()),
    });
    return response.ok ? ((await response.json()) as { id: string }).id : undefined;
  }

  #bodyOfExample(): unknown {
    const { paths } = this.#document() as { paths: Record<string, { post: Operation }> };
    const { examples } = paths['/v1/sessions']!.post.requestBody.content['application/json'];
    return Object.values(examples)[0]!.value;
  }
}

interface Operation {
  readonly requestBody: { readonly content: { readonly 'application/json': { readonly examples: Record<string, { value: unknown }> } } };
}

/** The headers that say who calls. */
function keysOf(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => /^(authorization|x-api-key)$/i.test(name)));
}
