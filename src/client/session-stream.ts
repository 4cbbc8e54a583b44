// Steps of a session over a WebSocket that are sent ahead of their answers, each exactly once.
//
//   inputs ──▶ unanswered: sent, or to be sent ──▶ answered: not yet taken by the caller ──▶ results
//              └──────────── together at most `window` messages ────────────┘
//
// After a lost connection the unanswered messages are sent again, byte for byte: the key of one that was applied has its
// answer again. At most 64 may be unanswered then, because the service remembers 64 keys. Each message is bound to the one
// before it (`if_match`: the ETag of the last answer, or `previous`), so that after a refused message no later one counts;
// and the version of each answer must be one above that of the answer before, which it would not be if another client
// had changed the session meanwhile.
import { linkedTo } from './abort.ts';
import { type Result, encodeFile } from './computation.ts';
import { MessageSocket } from './message-socket.ts';
import { CLIENT_CODES, CarryoverError, asUnknown, problemError, unreadable } from './problem.ts';
import { randomKey } from './random.ts';
import { type Inputs, ReadAhead } from './read-ahead.ts';
import type { SessionStep } from './session-answers.ts';
import type { TensorLike } from './tensor.ts';
import type { Transport } from './transport.ts';
import { type SessionMark, markOf } from './types.ts';

export type SessionInputs = Inputs<TensorLike>;

export interface StreamOptions {
  readonly signal?: AbortSignal | undefined;
  /** Inputs that are read before their results have been taken, 1 … 64; 32 if absent. */
  readonly window?: number;
}

/** What a stream needs of its session. */
export interface StreamPort {
  readonly id: string;
  /** Where the session was after the last answer. */
  readonly place: () => { readonly mark: SessionMark; readonly etag: string | undefined };
  readonly moveTo: (mark: SessionMark, etag: string | undefined) => void;
  /** To be called when a message has perhaps been applied, and its answer will not be known. */
  readonly noteUncertain: () => void;
  /** The same step as a call of its own. */
  readonly step: (x: TensorLike) => Promise<SessionStep>;
}

interface Message {
  readonly id: string;
  readonly x: TensorLike;
  readonly bytes: Uint8Array<ArrayBuffer>;
  wasSent: boolean;
}

/** Keys that the service remembers. */
const WINDOW_MAX = 64;
const WINDOW = 32;
/** Handshakes that fail while the service answers requests, until steps are sent by POST, if there was no other yet. */
const HANDSHAKES_MAX = 4;
/** For the answers to what was sent ahead, after the caller has ended the stream. */
const DRAIN_MS_MAX = 5_000;

export async function* streamSteps(
  transport: Transport,
  port: StreamPort,
  xs: SessionInputs,
  { signal, window = WINDOW }: StreamOptions,
): AsyncGenerator<SessionStep, void, undefined> {
  if (!Number.isInteger(window) || window < 1 || window > WINDOW_MAX) {
    throw new RangeError(`window is ${window}, expected 1 … ${WINDOW_MAX}.`);
  }
  const { controller, release } = linkedTo(transport.signalsOf({ signal }));
  try {
    yield* new SessionStream(transport, port, window, controller).results(xs);
  } finally {
    release();
  }
}

class SessionStream {
  readonly #transport: Transport;
  readonly #port: StreamPort;
  /** Of this stream alone. */
  readonly #controller: AbortController;
  readonly #signal: AbortSignal;
  readonly #unanswered: Message[] = [];
  readonly #readAhead: ReadAhead<TensorLike, SessionStep>;
  #inputs = 0;
  #socket: MessageSocket | undefined;
  #failedHandshakes = 0;

  constructor(transport: Transport, port: StreamPort, window: number, controller: AbortController) {
    this.#transport = transport;
    this.#port = port;
    this.#controller = controller;
    this.#signal = controller.signal;
    this.#readAhead = new ReadAhead({
      window,
      unansweredCount: () => this.#unanswered.length,
      add: (x) => this.#add(x),
      onChanged: () => this.#changed(),
    });
  }

  async *results(xs: SessionInputs): AsyncGenerator<SessionStep, void, undefined> {
    this.#signal.throwIfAborted();
    this.#signal.addEventListener('abort', () => this.#fail(this.#signal.reason), { once: true });
    this.#readAhead.feed(xs).catch(() => undefined);
    const answering = this.#answer().catch((error: unknown) => this.#fail(error));
    try {
      yield* this.#readAhead.results();
    } finally {
      this.#readAhead.end();
      // What was not sent need not be; what was sent is answered first, so that it is known where the session is.
      const sent = this.#unanswered.findLastIndex(({ wasSent }) => wasSent) + 1;
      this.#unanswered.splice(sent);
      this.#changed();
      const timer = setTimeout(() => this.#controller.abort(), DRAIN_MS_MAX);
      await answering;
      clearTimeout(timer);
    }
  }

  #add(x: TensorLike): void {
    const { etag = 'previous' } = this.#unanswered.length > 0 ? {} : this.#port.place();
    const id = String(this.#inputs++);
    const bytes = encodeFile({ x }, { id, key: randomKey(), if_match: etag });
    const message = { id, x, bytes, wasSent: false };
    this.#unanswered.push(message);
    this.#send(message);
    this.#readAhead.pulse.beat();
  }

  #send(message: Message): void {
    if (!this.#socket?.isGreeted) return;
    message.wasSent = true;
    this.#socket.send(message.bytes);
  }

  /** Has all messages answered, over as many connections as it takes. @throws why that cannot be done */
  async #answer(): Promise<void> {
    // The time in which the first unanswered message has to be answered begins anew with each.
    let patience = this.#transport.patience({ signal: this.#signal });
    let first: Message | undefined;
    const renewPatience = () => {
      if (this.#unanswered[0] !== first) patience = this.#transport.patience({ signal: this.#signal });
      [first] = this.#unanswered;
    };
    while (!this.#readAhead.isOver && !this.#mustPost) {
      renewPatience();
      try {
        await (first ? this.#converse() : this.#readAhead.pulse.next());
      } catch (error) {
        this.#signal.throwIfAborted();
        renewPatience();
        await patience.waitAfter(error as CarryoverError);
      }
    }
    while (!this.#readAhead.isOver) await this.#postNext();
  }

  get #mustPost(): boolean {
    return this.#transport.hasWebSockets === false;
  }

  /** One connection, from its handshake until all messages are answered. @throws CarryoverError if it ends before */
  async #converse(): Promise<void> {
    const path = `v1/sessions/${encodeURIComponent(this.#port.id)}/stream`;
    const socket = new MessageSocket(this.#transport.openSocket(path), {
      silenceMsMax: this.#transport.options.retry.attemptMs,
      isWaiting: () => this.#unanswered.length > 0,
      onText: (message) => this.#onText(socket, message),
      onFile: (answer) => this.#onAnswer(answer),
    });
    this.#socket = socket;
    try {
      await socket.ended;
    } catch (error) {
      if (!socket.isGreeted) await this.#afterFailedHandshake();
      throw error;
    } finally {
      socket.close();
      this.#socket = undefined;
    }
  }

  /** A script is not told why a handshake was refused, but the same address without `stream` says it. @throws CarryoverError */
  async #afterFailedHandshake(): Promise<void> {
    const path = `v1/sessions/${encodeURIComponent(this.#port.id)}`;
    await this.#transport.send({ method: 'GET', path, signal: this.#signal }).catch((error: unknown) => {
      // What the service says is true of this call, which changes nothing.
      throw error instanceof CarryoverError && this.#unanswered.some(({ wasSent }) => wasSent) ? asUnknown(error) : error;
    });
    this.#failedHandshakes++;
    if (this.#failedHandshakes >= HANDSHAKES_MAX) this.#transport.hasWebSockets ??= false;
  }

  #onText(socket: MessageSocket, { error, session }: Readonly<Record<string, unknown>>): void {
    if (error !== undefined) throw problemError(error);
    const { version } = markOf(session);
    if (socket.isGreeted) throw unreadable('two first messages on a WebSocket');
    socket.isGreeted = true;
    const { mark } = this.#port.place();
    const sent = this.#unanswered.filter(({ wasSent }) => wasSent).length;
    // Else so many others have changed it that the keys of these messages may be forgotten.
    if (sent > 0 && (version < mark.version || version > mark.version + sent)) {
      throw conflict(`The session is at version ${version}, expected ${mark.version} … ${mark.version + sent}.`, 'unknown');
    }
    this.#transport.hasWebSockets = true;
    for (const message of this.#unanswered) this.#send(message);
  }

  #onAnswer({ fields: { id }, session, h, ...rest }: Result): void {
    if (!h || !session) throw unreadable('an answer on a WebSocket without h or session');
    const { etag, ...mark } = session as SessionMark & { readonly etag?: string };
    const message = this.#unanswered[0];
    if (!message || id !== message.id) {
      throw unreadable(`an answer to message ${typeof id === 'string' ? id : 'without an id'}, expected ${message?.id ?? 'none'}`);
    }
    const { mark: before } = this.#port.place();
    if (mark.version !== before.version + 1) {
      throw conflict(`A step was answered at version ${mark.version} of the session, expected ${before.version + 1}.`, 'yes');
    }
    this.#unanswered.shift();
    this.#readAhead.push({ h, ...rest, session: mark });
    this.#port.moveTo(mark, etag);
    this.#changed();
  }

  /** A step as a call of its own, if there is one. It is sent again there, so an error is final. */
  async #postNext(): Promise<void> {
    const message = this.#unanswered[0];
    if (!message) return this.#readAhead.pulse.next();
    const step = await this.#port.step(message.x);
    this.#unanswered.shift();
    this.#readAhead.push(step);
    this.#changed();
  }

  #fail(error: unknown): void {
    if (this.#readAhead.hasFailed) return;
    this.#readAhead.fail(error);
    const isCertain = error instanceof CarryoverError && error.applied === 'no';
    if (!isCertain && this.#unanswered.some(({ wasSent }) => wasSent)) this.#port.noteUncertain();
    this.#changed();
  }

  #changed(): void {
    if (this.#readAhead.isOver) this.#socket?.close();
    this.#readAhead.pulse.beat();
  }
}

function conflict(message: string, applied: 'unknown' | 'yes'): CarryoverError {
  const detail = `${message} Another client has changed it.`;
  return new CarryoverError(detail, { code: CLIENT_CODES.stepConflict, applied });
}
