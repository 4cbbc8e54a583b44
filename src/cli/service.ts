// Calls of a service over HTTP. What goes wrong is an error with the exit code of its kind.
import { ERRORS, type ErrorCode } from '../error-kinds.ts';
import { CliError } from './cli-error.ts';
import { EXIT, EXIT_OF_PROBLEM } from './exit-codes.ts';
import { sentenceOf } from './problem-text.ts';
import type { Io } from './io.ts';

export interface Call {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** JSON, unless it is bytes. */
  readonly body?: object | Uint8Array<ArrayBuffer>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly query?: Readonly<Record<string, string | undefined>>;
  /** Absent: that of the command. */
  readonly signal?: AbortSignal;
}

export interface Answer {
  readonly status: number;
  /** The body as it was sent. */
  readonly text: string;
}

export class Service {
  readonly url: URL;
  readonly #io: Pick<Io, 'fetch' | 'signal' | 'env'>;

  /** @throws CliError if `url` is no address of HTTP */
  constructor(io: Pick<Io, 'fetch' | 'signal' | 'env'>, url: string) {
    this.#io = io;
    this.url = addressOf(url);
  }

  /** @throws CliError unless the answer is 2xx */
  async call(path: string, call: Call = {}): Promise<Answer> {
    const answer = await this.tryCall(path, call);
    if (answer.status >= 200 && answer.status < 300) return answer;
    throw problemOf(answer, this.url);
  }

  /** The JSON of a 2xx answer. @throws CliError as call() */
  async json<Value>(path: string, call: Call = {}): Promise<Value> {
    const { text } = await this.call(path, call);
    return text === '' ? (undefined as Value) : (JSON.parse(text) as Value);
  }

  /** Any answer. @throws CliError if there is none */
  async tryCall(path: string, { method = 'GET', body, headers, query = {}, signal }: Call = {}): Promise<Answer> {
    const url = new URL(`${this.url.pathname.replace(/\/$/, '')}${path}`, this.url);
    for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, value);
    const isBytes = body instanceof Uint8Array;
    const type = { 'content-type': isBytes ? 'application/octet-stream' : 'application/json' };
    try {
      const response = await this.#io.fetch(url, {
        method,
        // On one machine compressing costs more than it saves; fetch asks for it by default.
        headers: { accept: 'application/json', 'accept-encoding': 'identity', ...(body && type), ...keyHeader(this.#io), ...headers },
        signal: signal ?? this.#io.signal,
        ...(body && { body: isBytes ? body : JSON.stringify(body) }),
      });
      return { status: response.status, text: await response.text() };
    } catch (cause) {
      this.#io.signal.throwIfAborted();
      throw unanswered(url, cause);
    }
  }
}

/** The API key is not an option: options are seen by everybody who lists the processes. */
export function keyHeader({ env }: Pick<Io, 'env'>): Readonly<Record<string, string>> {
  const key = env['CARRYOVER_API_KEY'];
  return key ? { authorization: `Bearer ${key}` } : {};
}

function addressOf(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && /^https?:$/.test(url.protocol)) return url;
  throw new CliError(
    EXIT.usage,
    `The address is ${JSON.stringify(text)}, expected one like http://127.0.0.1:8080. Set --url or CARRYOVER_URL.`,
  );
}

function unanswered(url: URL, cause: unknown): CliError {
  const { cause: inner } = cause as Error;
  if (inner instanceof Error && isUntrusted(cause)) {
    return new CliError(
      EXIT.unavailable,
      `The certificate of ${url.origin} is not trusted (${inner.message}). If it is of an authority of your own, name the file ` +
        'of that in NODE_EXTRA_CA_CERTS.',
      { cause },
    );
  }
  const why = inner instanceof Error && inner.message !== '' ? ` (${inner.message})` : '';
  return new CliError(
    EXIT.unavailable,
    `No service answers at ${url.origin}${why}. Start one with \`carryover serve\`, or say where it is with --url or ` +
      'CARRYOVER_URL.',
    { cause },
  );
}

/** Errors of TLS about a certificate, by their code. */
const UNTRUSTED = /^(CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_CERT_)/;

/** Whether what caused `error` is that a service answers with a certificate that is not trusted. */
export function isUntrusted(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return UNTRUSTED.test((error as NodeJS.ErrnoException).code ?? '') || isUntrusted(error.cause);
}

interface Problem {
  readonly code: string;
  readonly detail: string;
}

/** Of an answer that is not 2xx. */
function problemOf({ status, text }: Answer, url: URL): CliError {
  const problem = readProblem(text);
  if (!problem) {
    const what = `${url.origin} answered with status ${status} and no problem of Carryover`;
    return new CliError(EXIT.unavailable, `${what}, expected a Carryover service there: look at --url or CARRYOVER_URL.`);
  }
  const { code, detail } = problem;
  const kind = code in ERRORS ? ERRORS[code as ErrorCode] : undefined;
  // A service of another version may have codes that this one has not.
  const exitCode = kind ? EXIT_OF_PROBLEM[code as ErrorCode] : status >= 500 ? EXIT.software : EXIT.data;
  return new CliError(exitCode, kind ? sentenceOf(code as ErrorCode, detail) : `${detail} [${code}]`, { code });
}

function readProblem(text: string): Problem | undefined {
  try {
    const { code, detail } = JSON.parse(text) as Partial<Problem>;
    return typeof code === 'string' && typeof detail === 'string' ? { code, detail } : undefined;
  } catch {
    return undefined;
  }
}
