// A session: hidden states that the service keeps between calls, advanced exactly once by each call.
//
// Each change has a key of its own, which all attempts at it share, so that one whose answer was lost is answered again
// and not applied again; and the ETag of the state that was answered with last, so that an attempt that arrives when its
// key is forgotten, or after somebody else has changed the session, is refused.
import type { Signals } from './abort.ts';
import { type Computation, type StatesLike, decode, decodeJson, encode } from './computation.ts';
import { jsonText, parseJson } from './json.ts';
import { CLIENT_CODES, CarryoverError, unreadable } from './problem.ts';
import { CallQueue } from './queue.ts';
import { randomKey } from './random.ts';
import type { SessionSequence, SessionState, SessionStep } from './session-answers.ts';
import { type SessionInputs, type StreamOptions, streamSteps } from './session-stream.ts';
import type { TensorLike } from './tensor.ts';
import { type Answer, type Call, JSON_TYPE, type Transport } from './transport.ts';
import { type Layout, type Output, type SessionInfo, type SessionMark, infoOf } from './types.ts';

interface CallOptions {
  readonly signal?: AbortSignal | undefined;
}

export interface SessionSequenceOptions extends CallOptions {
  /** Steps of each row, 0 … T. */
  readonly lengths?: readonly number[];
  /** Order of the axes of x, hs and ys; TND if absent. */
  readonly layout?: Layout;
  /** All that the model has if absent. */
  readonly outputs?: readonly Output[];
  readonly trace?: boolean;
}

/** Of a session that is streaming: it has its turn until the stream ends, which may be never. */
const STREAMING = 'The session is streaming: end the stream before another call, or read() the session.';

export class Session {
  readonly id: string;
  /** As it was created, or opened. */
  readonly info: SessionInfo;
  readonly #transport: Transport;
  readonly #queue = new CallQueue();
  #mark: SessionMark;
  #etag: string | undefined;
  /** Whether a call has ended without a certain answer: the session may be further than `#etag`. */
  #isUncertain = false;
  #isStreaming = false;

  /** To be made by Sessions. */
  constructor(transport: Transport, info: SessionInfo, etag: string | undefined) {
    this.id = info.id;
    this.info = info;
    this.#transport = transport;
    this.#mark = info;
    this.#etag = etag;
  }

  /** Steps taken, as last answered. */
  get t(): number {
    return this.#mark.t;
  }

  /** Changes of the state, as last answered. */
  get version(): number {
    return this.#mark.version;
  }

  /** Fingerprint of the state, as last answered. */
  get digest(): string {
    return this.#mark.digest;
  }

  /** Of the state, as last answered; undefined if something on the way to the service removes it. */
  get etag(): string | undefined {
    return this.#etag;
  }

  /** One step. @param x (N, D), or (N) row numbers of an embedding @throws CarryoverError */
  async step(x: TensorLike, { trace, signal }: CallOptions & { readonly trace?: boolean } = {}): Promise<SessionStep> {
    return this.#inTurn(signal, () => this.#step(x, trace, signal));
  }

  /** T steps at once. @param x (T, N, D), or (T, N) row numbers @throws CarryoverError */
  async sequence(x: TensorLike, { signal, ...options }: SessionSequenceOptions = {}): Promise<SessionSequence> {
    const computation = { session: this.id, x, ...options };
    return this.#inTurn(signal, () => this.#advance('v1/sequence', computation, signal, (answer) => answer));
  }

  /**
   * The steps of the inputs, over a WebSocket: inputs are sent ahead of the answers, `window` of them at most. Where there
   * are no WebSockets, each is a call of its own. When the loop ends early, what was sent ahead still counts: `t` says where
   * the session is.
   *
   * @throws CarryoverError
   */
  async *stream(xs: SessionInputs, options: StreamOptions = {}): AsyncGenerator<SessionStep, void, undefined> {
    if (this.#isStreaming) throw new Error(STREAMING);
    const leave = await this.#queue.enter(this.#signals(options.signal));
    this.#isStreaming = true;
    const place = () => ({ mark: this.#mark, etag: this.#etag });
    const port = {
      id: this.id,
      place,
      moveTo: (mark: SessionMark, etag: string | undefined) => this.#moveTo(mark, etag),
      noteUncertain: () => void (this.#isUncertain = true),
      step: (x: TensorLike) => this.#step(x, undefined, options.signal),
    };
    try {
      yield* streamSteps(this.#transport, port, xs, options);
    } catch (error) {
      throw this.#withAdvice(error);
    } finally {
      this.#isStreaming = false;
      leave();
    }
  }

  /**
   * The session as it is now. Later calls go on from there, also if somebody else has changed it.
   *
   * @throws CarryoverError
   */
  async read({ signal }: CallOptions = {}): Promise<SessionState> {
    const call = { method: 'GET', path: this.#path(), accept: JSON_TYPE, signal } as const;
    if (this.#isStreaming) return stateOf(await this.#transport.send(call));
    return this.#inTurn(signal, async () => {
      const answer = await this.#transport.send(call);
      const state = stateOf(answer);
      this.#moveTo(state, etagOf(answer));
      this.#isUncertain = false;
      return state;
    });
  }

  /** Puts other states in place of the present ones. @param state t is unchanged if absent @throws CarryoverError */
  async set(
    state: { readonly h: StatesLike; readonly c?: StatesLike; readonly t?: number },
    { signal }: CallOptions = {},
  ): Promise<SessionInfo> {
    return this.#inTurn(signal, () => this.#replace('PUT', 'state', state, signal));
  }

  /** Goes back to the latest kept state of step t. @throws CarryoverError state_not_kept, … */
  async rewind(t: number, { signal }: CallOptions = {}): Promise<SessionInfo> {
    return this.#inTurn(signal, () => this.#replace('POST', 'rewind', { t }, signal));
  }

  /** Another session with the present state. @throws CarryoverError */
  async fork({ signal }: CallOptions = {}): Promise<Session> {
    return this.#inTurn(signal, () =>
      this.#change({ method: 'POST', path: this.#path('fork'), signal }, (answer) => {
        return new Session(this.#transport, infoOf(parseJson(answer.bytes)), etagOf(answer));
      }),
    );
  }

  /** Ends the session; its id is not known any longer. @throws CarryoverError */
  async delete({ signal }: CallOptions = {}): Promise<void> {
    await this.#inTurn(signal, () => this.#change({ method: 'DELETE', path: this.#path(), signal }, () => undefined));
  }

  /**
   * Deletes it, in whatever state it is, also after the signal of the client has aborted. A session that cannot be
   * deleted stays until its lifetime is over.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    const retry = { ...this.#transport.options.retry, giveUpMs: DISPOSAL_MS_MAX, attemptMs: DISPOSAL_MS_MAX };
    const call: Call = { method: 'DELETE', path: this.#path(), key: randomKey(), retry, isEndedByClient: false };
    await this.#transport.send(call).catch(() => undefined);
  }

  async #step(x: TensorLike, trace: boolean | undefined, signal: AbortSignal | undefined): Promise<SessionStep> {
    return this.#advance('v1/step', { session: this.id, x, trace }, signal, ({ h, ...rest }) => {
      if (!h) throw unreadable('the answer to a step without h');
      return { h, ...rest };
    });
  }

  /** @param expect makes of the answer what the caller gets @throws CarryoverError */
  async #advance<Value>(
    path: string,
    computation: Computation,
    signal: AbortSignal | undefined,
    expect: (answer: SessionSequence) => Value,
  ): Promise<Value> {
    const call: Call = { method: 'POST', path, ...encode(computation), signal };
    return this.#change(call, (answer) => {
      const { fields: _, session, ...result } = decode(answer.headers.get('content-type'), answer.bytes);
      if (!session) throw unreadable('the answer of a session that does not say where it is');
      const value = expect({ ...result, session });
      this.#moveTo(session, etagOf(answer));
      return value;
    });
  }

  async #replace(method: 'PUT' | 'POST', what: string, body: object, signal: AbortSignal | undefined): Promise<SessionInfo> {
    const data = jsonText(body);
    return this.#change({ method, path: this.#path(what), body: { type: JSON_TYPE, data }, signal }, (answer) => {
      const info = infoOf(parseJson(answer.bytes));
      this.#moveTo(info, etagOf(answer));
      return info;
    });
  }

  async #change<Value>(call: Call, read: (answer: Answer) => Value): Promise<Value> {
    try {
      return read(await this.#transport.send({ ...call, key: randomKey(), ifMatch: this.#etag }));
    } catch (error) {
      const failure = this.#withAdvice(ofChange(error));
      if (!(failure instanceof CarryoverError && failure.applied === 'no')) this.#isUncertain = true;
      throw failure;
    }
  }

  /** After a conflict: what the caller can do, and whether it may be due to a call of his own. */
  #withAdvice(error: unknown): unknown {
    if (!(error instanceof CarryoverError) || error.code !== CLIENT_CODES.stepConflict) return error;
    const cause = this.#isUncertain ? ' An earlier call has ended without an answer, and may have been applied.' : '';
    return new CarryoverError(`${error.message}${cause} read() the session to go on from there.`, error);
  }

  async #inTurn<Value>(signal: AbortSignal | undefined, work: () => Promise<Value>): Promise<Value> {
    if (this.#isStreaming) throw new Error(STREAMING);
    return this.#queue.run(this.#signals(signal), work);
  }

  #moveTo(mark: SessionMark, etag: string | undefined): void {
    this.#mark = mark;
    this.#etag = etag;
  }

  #signals(signal: AbortSignal | undefined): Signals {
    return this.#transport.signalsOf({ signal });
  }

  #path(rest?: string): string {
    const path = `v1/sessions/${encodeURIComponent(this.id)}`;
    return rest === undefined ? path : `${path}/${rest}`;
  }
}

/** For a session that is disposed of: nobody wants to wait for it. */
const DISPOSAL_MS_MAX = 5_000;

/** An answer that cannot be read may be that of a change that was applied. */
function ofChange(error: unknown): unknown {
  if (!(error instanceof CarryoverError) || error.code !== CLIENT_CODES.unreadableAnswer || error.applied) return error;
  const { message, code, status, cause } = error;
  return new CarryoverError(message, { code, status, cause, applied: 'unknown' });
}

function etagOf({ headers }: Answer): string | undefined {
  return headers.get('etag') ?? undefined;
}

function stateOf({ bytes }: Answer): SessionState {
  const value = parseJson(bytes);
  const { fields, h, c } = decodeJson(value);
  if (!h) throw unreadable('a session without h');
  return { ...(infoOf(fields) as SessionState), h, ...(c && { c }) };
}
