// A service in place of fetch: each call gets the next of the answers that were written down for it.
import type { SessionInfo } from '../../src/client/index.ts';

/** What a call gets: an answer, an error as of a lost connection, or nothing until it is ended. */
export type Scripted = Response | Error | 'silence';

export interface ScriptedFetch {
  readonly fetch: typeof fetch;
  readonly calls: ScriptedCall[];
}

export interface ScriptedCall {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
  readonly atMs: number;
}

/** The last answer is given again to all further calls. */
export function scripted(...answers: Scripted[]): ScriptedFetch {
  const calls: ScriptedCall[] = [];
  let count = 0;
  const fetch = async (url: URL, { method, headers, body, signal }: RequestInit) => {
    const answer = answers[Math.min(count++, answers.length - 1)]!;
    calls.push({ method: method!, path: url.pathname + url.search, headers: headers as Record<string, string>, body, atMs: performance.now() });
    if (answer instanceof Error) throw answer;
    if (answer !== 'silence') return answer.clone();
    const { promise, reject } = Promise.withResolvers<Response>();
    signal!.addEventListener('abort', () => reject(signal!.reason as Error));
    return promise;
  };
  return { fetch: fetch as typeof globalThis.fetch, calls };
}

export const LOST = new TypeError('fetch failed', { cause: new Error('ECONNRESET') });

export function json(value: unknown, { status = 200, headers = {} }: { status?: number; headers?: Record<string, string> } = {}): Response {
  return new Response(JSON.stringify(value), { status, headers: { 'content-type': 'application/json; charset=utf-8', ...headers } });
}

export function problem(status: number, code: string, members: object = {}, headers: Record<string, string> = {}): Response {
  const body = { type: `/problems#${code}`, title: code, status, detail: `It is ${code}.`, code, errors: [], ...members };
  return json(body, { status, headers: { 'content-type': 'application/problem+json', ...headers } });
}

const MARK = { id: 'session-1', t: 0, version: 0, digest: '0123456789abcdef', expires_at: '2030-01-01T00:00:00.000Z' };

export const INFO: SessionInfo = {
  ...MARK,
  model: 'sha256:00',
  N: 1,
  D: 1,
  H: 1,
  ttl_s: 60,
  keep: 0,
  created_at: '2029-01-01T00:00:00.000Z',
};

export const CREATED = json(INFO, { status: 201, headers: { etag: '"a.0"' } });

/** The answer to step t. */
export function stepped(t: number): Response {
  return json({ h: [[t / 10]], session: { ...MARK, t, version: t } }, { headers: { etag: `"a.${t}"` } });
}
