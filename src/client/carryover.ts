// The client of a Carryover service: its address and key, and the calls that need no session.
import { sleep } from './abort.ts';
import { type BatchItem, type BatchResult, sendBatch } from './batch.ts';
import { type CellStates, type States, type StatesLike, decode, encode } from './computation.ts';
import { type StreamItems, type StreamItemsOptions, type StreamResult, streamItems } from './item-stream.ts';
import { Models } from './models.ts';
import { CLIENT_CODES, CarryoverError, unreadable } from './problem.ts';
import { type RetryOptions, retryPolicy } from './retry.ts';
import { type StreamedEnd, type StreamedStep, streamSequence } from './sequence-stream.ts';
import { Sessions } from './sessions.ts';
import type { Tensor, TensorLike } from './tensor.ts';
import type { Trace } from './trace.ts';
import { Transport } from './transport.ts';
import type { Layout, Output } from './types.ts';
import type { ModelSource } from './weights.ts';

export interface CarryoverOptions {
  /** API key or token, sent as `Authorization: Bearer`, on a WebSocket as a subprotocol. */
  readonly apiKey?: string | undefined;
  /** Ends all calls, but the deletion of sessions that are disposed of. */
  readonly signal?: AbortSignal | undefined;
  /** In place of the global one. */
  readonly fetch?: typeof globalThis.fetch | undefined;
  /** In place of the global one; null to do without. */
  readonly WebSocket?: typeof globalThis.WebSocket | null | undefined;
  /** How calls are repeated; false: each is sent once. */
  readonly retry?: RetryOptions | false | undefined;
}

interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

export type StepInput = ModelSource & {
  /** (N, D), or (N) row numbers of an embedding. */
  readonly x: TensorLike;
  /** States before the step; zeros if absent. */
  readonly h?: StatesLike | undefined;
  readonly c?: StatesLike | undefined;
  /** Whether to answer with the intermediate values. */
  readonly trace?: boolean | undefined;
};

export interface Step {
  /** After the step, (N, H); of several layers a list. */
  readonly h: States;
  /** Of a model with an lstm. */
  readonly c?: CellStates;
  /** (N, O), if layers are behind the last recurrent one. */
  readonly y?: Tensor;
  readonly trace?: Trace;
}

export type SequenceInput = ModelSource & {
  /** (T, N, D), or (T, N) row numbers of an embedding; with layout NTD (N, T, D). */
  readonly x: TensorLike;
  /** States before the first step; zeros if absent. */
  readonly h?: StatesLike | undefined;
  readonly c?: StatesLike | undefined;
  /** Steps of each row, 0 … T. */
  readonly lengths?: readonly number[] | undefined;
  /** Order of the axes of x, hs and ys; TND if absent. */
  readonly layout?: Layout | undefined;
  /** All that the model has if absent. */
  readonly outputs?: readonly Output[] | undefined;
  readonly trace?: boolean | undefined;
};

export interface Sequence {
  /** (T, N, H) of the last recurrent layer. */
  readonly hs?: Tensor;
  /** After the last step of each row. */
  readonly h?: States;
  readonly c?: CellStates;
  /** (T, N, O) */
  readonly ys?: Tensor;
  readonly y?: Tensor;
  readonly trace?: Trace;
}

/** What may be in the header `Authorization`, and in a subprotocol. */
const API_KEY = /^[!#-'*+.0-9A-Z^-z|~-]+$/;
const READY_MS_MAX = 60_000;
const READY_POLL_MS = 100;

export class Carryover {
  readonly models: Models;
  readonly sessions: Sessions;
  readonly #transport: Transport;

  /**
   * @param url of the service, with its path if it has one; in a page it may be relative to the page
   * @throws TypeError if the address or the key is none
   */
  constructor(url: string | URL, { apiKey, signal, fetch, WebSocket, retry }: CarryoverOptions = {}) {
    if (apiKey !== undefined && !API_KEY.test(apiKey)) throw new TypeError('The API key has characters that no key has.');
    const base = addressOf(url);
    if (!base.pathname.endsWith('/')) base.pathname += '/';
    this.#transport = new Transport({
      url: base,
      apiKey,
      signal,
      // Bound, because browsers call their functions illegal on another object.
      fetch: fetch ?? globalThis.fetch.bind(globalThis),
      WebSocket: WebSocket === null ? undefined : (WebSocket ?? globalThis.WebSocket),
      retry: retryPolicy(retry),
    });
    this.models = new Models(this.#transport);
    this.sessions = new Sessions(this.#transport);
  }

  /**
   * Resolves when the service can be used.
   *
   * @param options timeoutMs: 60,000 if absent
   * @throws CarryoverError no_answer, or what it answered last
   */
  async waitUntilReady({ timeoutMs = READY_MS_MAX, signal }: CallOptions & { readonly timeoutMs?: number } = {}): Promise<void> {
    const endMs = performance.now() + timeoutMs;
    for (;;) {
      const leftMs = Math.max(1, endMs - performance.now());
      const retry = { ...this.#transport.options.retry, giveUpMs: 0, attemptMs: leftMs };
      try {
        await this.#transport.send({ method: 'GET', path: 'health/ready', signal, retry });
        return;
      } catch (error) {
        if (!(error instanceof CarryoverError) || performance.now() + READY_POLL_MS >= endMs) throw error;
        if (error.code !== CLIENT_CODES.noAnswer && error.status !== 503) throw error;
      }
      await sleep(READY_POLL_MS, this.#transport.signalsOf({ signal }));
    }
  }

  /** One step of a mini-batch, without a session. @throws CarryoverError */
  async step(input: StepInput, { signal }: CallOptions = {}): Promise<Step> {
    const { h, ...rest } = await this.#compute('v1/step', input, signal);
    if (!h) throw unreadable('the answer to a step without h');
    return { h, ...rest };
  }

  /** T steps of a mini-batch, without a session. @throws CarryoverError */
  async sequence(input: SequenceInput, { signal }: CallOptions = {}): Promise<Sequence> {
    return this.#compute('v1/sequence', input, signal);
  }

  /**
   * As sequence(), each step as soon as it is computed; the last item is the end, with `done`.
   *
   * @throws CarryoverError
   */
  streamSequence(input: SequenceInput, { signal }: CallOptions = {}): AsyncGenerator<StreamedStep | StreamedEnd, void, undefined> {
    return streamSequence(this.#transport, input, signal);
  }

  /**
   * Steps and sequences of many sessions at once, each exactly once; what is wrong with an item is `error` of its result. Items
   * of one session are applied in their order. A Session of one of them has to be read() before its next call.
   *
   * @throws CarryoverError if no item was answered · RangeError · TypeError before anything is sent
   */
  async batch(items: readonly BatchItem[], { signal }: CallOptions = {}): Promise<BatchResult[]> {
    return sendBatch(this.#transport, items, signal);
  }

  /**
   * As batch(), over one WebSocket and without an end: items are read as results are taken, and answered in the order in which
   * they get ready, those of one session in theirs. After a lost connection it goes on. A Session of one of them has to be read()
   * before its next call.
   *
   * @throws CarryoverError if the service cannot be reached or refuses the stream · RangeError · TypeError of an item that is none
   */
  stream(items: StreamItems, options: StreamItemsOptions = {}): AsyncGenerator<StreamResult, void, undefined> {
    return streamItems(this.#transport, items, options);
  }

  async #compute(path: string, input: StepInput | SequenceInput, signal: AbortSignal | undefined): Promise<Sequence> {
    const { headers, bytes } = await this.#transport.send({ method: 'POST', path, ...encode(input), signal });
    const { fields: _, session: __, ...result } = decode(headers.get('content-type'), bytes);
    return result;
  }
}

/** @throws TypeError if it is none: fetch would refuse it as if no service answered */
function addressOf(url: string | URL): URL {
  const place = globalThis.document?.baseURI;
  const address = URL.canParse(url, place) ? new URL(url, place) : undefined;
  if (address && /^https?:$/.test(address.protocol) && address.username === '') return address;
  // What stands before an @ may be a key.
  const shown = JSON.stringify(String(url).replace(/\/\/.*@/, '//…@'));
  throw new TypeError(`The address is ${shown}, expected one like http://127.0.0.1:8080; a key goes into apiKey.`);
}
