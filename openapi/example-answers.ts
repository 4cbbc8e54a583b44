// Does all examples of the documentation, in its order, and collects what is answered.
import { setTimeout as sleep } from 'node:timers/promises';
import type { HttpServer } from '../src/http/http-server.ts';
import { type Answer, type Answers, type OpenapiDocument, operationsOf } from '../src/http/docs/describe.ts';
import { EXAMPLES, LAST_SESSION, PATH_EXAMPLES } from '../src/http/docs/examples.ts';

/** What every run has another of, as the documentation shows it. */
const SHOWN = {
  session: 'Nq3xW8c0vT1mZ5yKpE7b2A',
  created_at: '2026-01-01T12:00:00.000Z',
  expires_at: '2026-01-02T12:00:00.000Z',
  etag: '"Zt5w8QpA.2.mN3xV7cK"',
  kernel: 'simd256',
} as const;

interface Sent {
  readonly operationId: string;
  readonly name: string;
  readonly summary: string;
  readonly method: string;
  readonly path: string;
  readonly body: object | undefined;
}

/** All examples, in order; an operation without a body has one. */
function examplesOf(document: OpenapiDocument): Sent[] {
  return operationsOf(document).flatMap(({ path, method, operation: { operationId, requestBody } }): Sent[] => {
    // WebSockets have no answer.
    if (operationId.startsWith('streamSession')) return [];
    const sent = { operationId, method, path: path.replace(/\{\w+\}/, PATH_EXAMPLES[operationId] ?? '') };
    if (!requestBody) return [{ ...sent, name: 'answer', summary: 'An answer', body: undefined }];
    return Object.entries(EXAMPLES[operationId] ?? {}).map(([name, { summary, body }]) => ({ ...sent, name, summary, body }));
  });
}

/** @throws Error if one is not answered with 2xx */
export async function answersToExamples(http: HttpServer): Promise<Answers> {
  const answers: Record<string, Record<string, Answer>> = {};
  const sessions = new LastSession(http);
  for (const { operationId, name, summary, method, path, body } of examplesOf(http.swagger() as unknown as OpenapiDocument)) {
    const send = async (accept: string) => {
      const [url, payload] = await sessions.named([path, body === undefined ? '' : JSON.stringify(body)]);
      const headers = { accept, ...(payload !== '' && { 'content-type': 'application/json' }) };
      const response = await http.inject({ method: method.toUpperCase() as 'GET', url, headers, payload });
      if (response.statusCode >= 300) throw new Error(`${operationId}, example ${name}: ${response.statusCode} ${response.body}`);
      sessions.note(operationId, response.body);
      return response;
    };
    const { statusCode: status, body: text } = await send('application/json');
    const type = 'application/json';
    // Models are listed in the order of their creation, to the millisecond.
    if (operationId === 'registerModel') await sleep(2);
    if (text !== '') (answers[operationId] ??= {})[name] = { status, type, summary, value: shown(JSON.parse(text)) };
    if (operationId === 'sequence' && name === 'weights') Object.assign(answers[operationId]!, linesOf((await send('application/x-ndjson')).body));
  }
  return answers;
}

/** A line of each kind of a stream. */
function linesOf(stream: string): Record<string, Answer> {
  const lines = stream.trim().split('\n').map((line) => JSON.parse(line));
  const answer = (summary: string, value: unknown) => ({ status: 200, type: 'application/x-ndjson', summary, value });
  return { line: answer('The line of the first step', lines[0]), 'last-line': answer('The last line', lines.at(-1)) };
}

/** Which session LAST_SESSION stands for, as src/pages/docs/last-session.ts has it. */
class LastSession {
  readonly #http: HttpServer;
  #id: string | undefined;

  constructor(http: HttpServer) {
    this.#http = http;
  }

  /** The texts with the id of the session in them, which is created if there is none. */
  async named(texts: readonly [string, string]): Promise<[string, string]> {
    if (!texts.some((text) => text.includes(LAST_SESSION))) return [...texts];
    const payload = Object.values(EXAMPLES['createSession']!)[0]!.body;
    this.#id ??= (await this.#http.inject({ method: 'POST', url: '/v1/sessions', payload })).json<{ id: string }>().id;
    const id = this.#id;
    return [texts[0].replaceAll(LAST_SESSION, id), texts[1].replaceAll(LAST_SESSION, id)];
  }

  note(operationId: string, answer: string): void {
    if (operationId === 'createSession') this.#id = (JSON.parse(answer) as { id: string }).id;
    if (operationId === 'deleteSession') this.#id = undefined;
  }
}

/** An answer without chance: ids and times as SHOWN has them, sessions in an order of their own. */
function shown(value: unknown, key = ''): unknown {
  if (Array.isArray(value)) {
    const entries = value.map((entry) => shown(entry));
    return key === 'sessions' ? entries.toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)) : entries;
  }
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, shown(member, name)]));
  }
  if (key === 'id' && typeof value === 'string' && /^[\w-]{22}$/.test(value)) return SHOWN.session;
  return key in SHOWN ? SHOWN[key as 'kernel'] : value;
}
