// Clients that step sessions of their own, in batches or over one socket, and send again what was not answered, by the rules
// that the documentation of POST /v1/batch and GET /v1/stream states.
import { setTimeout as sleep } from 'node:timers/promises';
import { StreamClient } from '../helpers/stream-client.ts';
import { Client } from './client.ts';
import type { OwnSession, OwnStep } from './own-session.ts';
import { type BatchFormat, type StepAnswer, type StepMessage, answerOf, socketMessageOf } from './step-messages.ts';

export interface StepClientOptions {
  readonly port: number;
  readonly sessions: readonly OwnSession[];
  /** Numbers in [-1, 1). */
  readonly random: () => number;
  /** Before a lost connection is opened again. */
  readonly pauseMs: number;
}

/** Items of a batch, and messages without an answer on a socket. */
const IN_FLIGHT_MAX = 16;
/** Before a message is sent again that was answered with an error. */
const REFUSED_PAUSE_MS = 5;

abstract class StepClient {
  /** Steps that were answered. */
  acknowledged = 0;
  /** Messages that were sent again. */
  repeated = 0;
  /** Answers marked as those of an earlier attempt. */
  replayed = 0;
  protected readonly options: StepClientOptions;
  readonly #gone = new Set<OwnSession>();

  constructor(options: StepClientOptions) {
    this.options = options;
  }

  /** Steps until stopped, and until all that was sent is answered. */
  abstract run(isStopping: () => boolean): Promise<void>;

  /** The next step of a random session; undefined if none is left. */
  protected nextStep(): OwnStep | undefined {
    const left = this.options.sessions.filter((session) => !this.#gone.has(session));
    return left[Math.floor(((this.options.random() + 1) / 2) * left.length)]?.nextStep();
  }

  protected isGone({ session }: OwnStep): boolean {
    return this.#gone.has(session);
  }

  /** @returns whether the step was applied @throws Error if it was refused for good, or answered out of its order */
  protected take(step: OwnStep, { session: mark, replayed, error }: StepAnswer): boolean {
    if (mark) {
      step.session.answered(step, mark, Boolean(replayed));
      this.acknowledged++;
      if (replayed) this.replayed++;
      return true;
    }
    const { status, code, detail } = error!;
    if (status === 404 || status === 410) this.#gone.add(step.session);
    else if (status !== 503 && status !== 409 && code !== 'step_conflict') throw new Error(`${code}: ${detail}`);
    return false;
  }
}

/** One batch after another, each with several items of several sessions. */
export class BatchClient extends StepClient {
  readonly #format: BatchFormat;
  readonly #client: Client;

  constructor(format: BatchFormat, options: StepClientOptions) {
    super(options);
    this.#format = format;
    this.#client = new Client(options.port);
  }

  async run(isStopping: () => boolean): Promise<void> {
    while (!isStopping()) {
      const steps = Array.from({ length: IN_FLIGHT_MAX }, () => this.nextStep()).filter((step) => step !== undefined);
      if (steps.length === 0) break;
      await this.#untilAnswered(steps);
    }
    this.#client.close();
  }

  async #untilAnswered(steps: readonly OwnStep[]): Promise<void> {
    const { type, bodyOf, entriesOf } = this.#format;
    for (let open = steps; open.length > 0; this.repeated += open.length) {
      const messages = messagesOf(open);
      const sent = { method: 'POST', path: '/v1/batch', body: bodyOf(messages), headers: { 'content-type': type } } as const;
      const answer = await this.#client.send(sent).catch(() => undefined);
      if (answer?.status !== 200) {
        if (answer && answer.status !== 503) throw new Error(answer.body);
        await sleep(this.options.pauseMs);
        continue;
      }
      const entries = entriesOf(answer.bytes);
      const refused = open.filter((step, k) => !this.take(step, entries[k]!));
      open = refused.filter((step) => !this.isGone(step));
      if (open.length > 0) await sleep(REFUSED_PAUSE_MS);
    }
  }
}

/** Many messages in flight on one socket, interleaved. */
export class SocketClient extends StepClient {
  /** Steps without an answer, those of one session in their order. */
  readonly #open = new Map<string, OwnStep>();
  /** Ids of messages that were sent on the present connection and are not answered. */
  readonly #inFlight = new Set<string>();
  /** Sessions whose message before was sent on the present connection and not refused. */
  readonly #bound = new Set<OwnSession>();
  /** Sessions with a refused message: nothing of them is sent until all that was sent is answered. */
  readonly #refused = new Set<OwnSession>();

  async run(isStopping: () => boolean): Promise<void> {
    for (let isDone = false; !isDone; ) {
      const { client } = await this.#connect();
      isDone = await this.#exchange(client, isStopping);
      client.socket.terminate();
    }
  }

  async #connect() {
    for (;;) {
      const connected = await StreamClient.connect(`ws://127.0.0.1:${this.options.port}/v1/stream`).catch(() => undefined);
      if (connected) return connected;
      await sleep(this.options.pauseMs);
    }
  }

  /** @returns true when all is answered, false if the connection is lost before */
  async #exchange(client: StreamClient, isStopping: () => boolean): Promise<boolean> {
    this.#inFlight.clear();
    this.#bound.clear();
    this.#refused.clear();
    this.#sendAgain(client, [...this.#open.values()]);
    for (;;) {
      while (!isStopping() && this.#open.size < IN_FLIGHT_MAX) {
        const step = this.nextStep();
        if (!step) break;
        this.#open.set(idOf(step), step);
        if (!this.#refused.has(step.session)) this.#send(client, step);
      }
      if (this.#open.size === 0) return true;
      const received = await client.next().catch(() => undefined);
      if (received === undefined) return false;
      await this.#receive(client, answerOf(received));
    }
  }

  #send(client: StreamClient, step: OwnStep): void {
    const id = idOf(step);
    this.#inFlight.add(id);
    const message: StepMessage = { step, id, isBound: this.#bound.has(step.session) };
    client.send(socketMessageOf(message, step.number % 3 === 2));
    this.#bound.add(step.session);
  }

  #sendAgain(client: StreamClient, steps: readonly OwnStep[]): void {
    for (const step of steps) this.#send(client, step);
    this.repeated += steps.length;
  }

  async #receive(client: StreamClient, answer: StepAnswer): Promise<void> {
    const step = this.#open.get(answer.id);
    if (!step || !this.#inFlight.delete(answer.id)) throw new Error(`No message waits for ${JSON.stringify(answer)}.`);
    const { session } = step;
    if (this.take(step, answer) || this.isGone(step)) this.#open.delete(answer.id);
    else this.#refused.add(session);
    const open = [...this.#open.values()].filter((other) => other.session === session);
    if (!this.#refused.has(session) || open.some((other) => this.#inFlight.has(idOf(other)))) return;
    this.#refused.delete(session);
    this.#bound.delete(session);
    await sleep(REFUSED_PAUSE_MS);
    this.#sendAgain(client, open);
  }
}

/** All but the first of each session are bound to the one before. */
function messagesOf(steps: readonly OwnStep[]): StepMessage[] {
  const sent = new Set<OwnSession>();
  return steps.map((step) => {
    const isBound = sent.has(step.session);
    sent.add(step.session);
    return { step, id: idOf(step), isBound };
  });
}

function idOf({ session, number }: OwnStep): string {
  return `${session.id}/${number}`;
}
