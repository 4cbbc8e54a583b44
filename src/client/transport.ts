// One call of the service: sent over fetch, and sent again until it is answered or cannot succeed.
import { type Signals, throwIfAborted, withSignals } from './abort.ts';
import { CLIENT_CODES, CarryoverError, answerError } from './problem.ts';
import { foreignPage, isTlsFault } from './reach.ts';
import { Patience, type RetryPolicy } from './retry.ts';

export const JSON_TYPE = 'application/json';
export const FILE_TYPE = 'application/vnd.carryover.safetensors';

/** For which a page of another origin waits for the very first answer. */
const FOREIGN_PAGE_MS = 3_000;

export interface TransportOptions {
  /** Where the service is; a path in it is kept. */
  readonly url: URL;
  /** API key or token. */
  readonly apiKey: string | undefined;
  /** Ends all calls. */
  readonly signal: AbortSignal | undefined;
  readonly fetch: typeof globalThis.fetch;
  /** Undefined where there are none. */
  readonly WebSocket: typeof globalThis.WebSocket | undefined;
  readonly retry: RetryPolicy;
}

export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Relative to the address of the service, like `v1/step`, with its query. */
  readonly path: string;
  readonly body?: Body | undefined;
  readonly accept?: string | undefined;
  /** Of a call that changes something: each attempt has the same. */
  readonly key?: string | undefined;
  readonly ifMatch?: string | undefined;
  /** Whether it changes something without a key of its own: what it has in its body has keys. */
  readonly isChange?: boolean;
  readonly signal?: AbortSignal | undefined;
  /** Whether to end it with the signal of the client too. True if absent. */
  readonly isEndedByClient?: boolean;
  /** In place of that of the client. */
  readonly retry?: RetryPolicy | undefined;
}

export interface Body {
  readonly type: string;
  readonly data: string | Uint8Array<ArrayBuffer> | Blob;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export class Transport {
  readonly options: TransportOptions;
  /** Whether the service accepts them; undefined as long as it is not known. */
  hasWebSockets: boolean | undefined;
  /** Until something was answered, a fault may be one that no waiting mends. */
  #wasAnswered = false;

  constructor(options: TransportOptions) {
    this.options = options;
    if (!options.WebSocket) this.hasWebSockets = false;
  }

  /**
   * Sends a call until it is answered; each attempt has the same bytes and the same key, so it counts once.
   *
   * @throws CarryoverError if it is refused, or the time is over · the reason of a signal that aborts
   */
  async send(call: Call): Promise<Answer> {
    return this.#repeat(call, (attempts) => this.#attempt(call, attempts));
  }

  /** The answer of a call before its body is read. @param signal ends the body too @throws as send() */
  async open(call: Call, signal: AbortSignal): Promise<Response> {
    return this.#repeat(call, async (attempts) => {
      const response = await this.#fetch(call, signal);
      if (response.ok) return response;
      throw answerError(whereOf(call), response, new Uint8Array(await response.arrayBuffer()), attempts);
    });
  }

  /** A WebSocket at the path. @throws TypeError where there are none */
  openSocket(path: string): WebSocket {
    const { url, apiKey, WebSocket } = this.options;
    if (!WebSocket) throw new TypeError('There are no WebSockets here.');
    const address = new URL(path, url);
    address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
    // The script of a page cannot set headers of a WebSocket.
    return new WebSocket(address, apiKey === undefined ? [] : ['carryover', `bearer.${apiKey}`]);
  }

  /** For the attempts of a call that begins now. */
  patience(call: Partial<Call> = {}): Patience {
    return new Patience(call.retry ?? this.options.retry, this.signalsOf(call));
  }

  /** Repeats attempts that fail in a way that passes. @throws as send() */
  async #repeat<Value>(call: Call, attempt: (attempts: number) => Promise<Value>): Promise<Value> {
    const patience = this.patience(call);
    throwIfAborted(this.signalsOf(call));
    const startMs = performance.now();
    for (let attempts = 1; ; attempts++) {
      try {
        return await attempt(attempts);
      } catch (error) {
        const failure = this.toError(call, error, attempts);
        await patience.waitAfter(this.#wasAnswered ? failure : this.#unlessUnreachable(failure, performance.now() - startMs));
      }
    }
  }

  /** The error of an attempt, or that more of them are in vain. @param ms since the first one */
  #unlessUnreachable(error: CarryoverError, ms: number): CarryoverError {
    const { cause, attempts, applied } = error;
    const page = foreignPage(this.options.url);
    const unreachable = (why: string, known = applied) => new CarryoverError(`${error.message}. ${why}`, { code: CLIENT_CODES.unreachable, cause, attempts, applied: known });
    if (error.code !== CLIENT_CODES.noAnswer) return error;
    if (isTlsFault(cause)) {
      const why = 'There is no TLS connection to be had, so nothing was sent. In Node.js NODE_EXTRA_CA_CERTS is the file of an issuer to trust.';
      return unreachable(why, applied && 'no');
    }
    if (page === undefined || ms < FOREIGN_PAGE_MS) return error;
    return unreachable(`Either there is no service, or the browser keeps its answers from pages of ${page}: that has to be in CORS_ORIGINS of the service.`);
  }

  async #attempt(call: Call, attempts: number): Promise<Answer> {
    const { attemptMs } = call.retry ?? this.options.retry;
    return withSignals(this.signalsOf(call), attemptMs, async (signal) => {
      const response = await this.#fetch(call, signal);
      const { status, headers } = response;
      const bytes = new Uint8Array(await response.arrayBuffer());
      if (!response.ok) throw answerError(whereOf(call), response, bytes, attempts);
      return { status, headers, bytes };
    });
  }

  async #fetch({ method, path, body, accept, key, ifMatch }: Call, signal: AbortSignal): Promise<Response> {
    const { url, apiKey, fetch } = this.options;
    const headers = {
      ...(body && { 'content-type': body.type }),
      ...(accept !== undefined && { accept }),
      ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
      ...(key !== undefined && { 'idempotency-key': key }),
      ...(ifMatch !== undefined && { 'if-match': ifMatch }),
    };
    const response = await fetch(new URL(path, url), { method, headers, signal, ...(body && { body: body.data }) });
    this.#wasAnswered = true;
    return response;
  }

  /** An attempt without an answer has failed with an error of fetch, whose class and text differ between platforms. */
  toError(call: Call, error: unknown, attempts = 1): CarryoverError {
    if (error instanceof CarryoverError) return error;
    return new CarryoverError(`${whereOf(call)} got no answer from ${this.options.url.href}: ${reasonOf(error)}`, {
      code: CLIENT_CODES.noAnswer,
      applied: call.key === undefined && call.isChange !== true ? undefined : 'unknown',
      attempts,
      cause: error,
    });
  }

  /** Those that end a call. */
  signalsOf({ signal, isEndedByClient = true }: Partial<Call> = {}): Signals {
    return [signal, isEndedByClient ? this.options.signal : undefined];
  }
}

function whereOf({ method, path }: Call): string {
  return `${method} /${path}`;
}

/** `fetch failed` says less than its cause. */
function reasonOf(error: unknown): string {
  const { message, cause } = error as Error;
  return cause instanceof Error && cause.message !== '' ? `${message} (${cause.message})` : message;
}
