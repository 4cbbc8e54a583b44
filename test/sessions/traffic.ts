// Clients that call the same sessions concurrently: random calls, each repeated until it is answered. All
// answers are recorded and checked against the sessions in the end.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Layer } from '../../src/layers.ts';
import { ANSWERS_MAX } from '../../src/sessions/kept-answer.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { type Answer, Client, type Sent } from './client.ts';
import { type StoredSession, type CallRecord, type Verdict, checkHistory, emptyVerdict } from './history.ts';
import { createSessions } from './create-sessions.ts';
import type { SessionModel } from './models.ts';
import { type Operation, chooseOperation, requestOf } from './operations.ts';
import { firstState } from './replay.ts';
import { type StatesJson, digestOf, readStates } from './states.ts';

const KEEP = 4;

export interface TrafficOptions {
  readonly clients: number;
  readonly sessions: number;
  /** Of the services on one store: each client calls one of them. */
  readonly ports: readonly [number, ...number[]];
  readonly seed: number;
  /** Without idempotency keys a repeated call may be applied twice: for the controls. */
  readonly withKeys: boolean;
  /** Pause between a broken connection, or a 503, and the next attempt. */
  readonly pauseMs: number;
}

/** A session as all clients together know it. */
interface SharedSession {
  readonly id: string;
  readonly model: SessionModel;
  /** The latest version, t and ETag that any of them was answered with. */
  version: number;
  t: number;
  etag: string;
  readonly calls: CallRecord[];
  readonly forks: ForkRecord[];
  /** Answered 404 or 410: it is not used any further. */
  isGone: boolean;
}

interface ForkRecord {
  readonly id: string;
  readonly t: number;
  readonly digest: string;
  /** Lower bound: the version that was known when the call was sent first. */
  readonly version: number;
}

export interface TrafficReport extends Verdict {
  readonly forks: number;
  /** Sessions that exist besides those that were created and the forks that were answered. */
  readonly forksTooMany: number;
  /** Attempts that were not answered, or with 409 or 503, and were repeated. */
  readonly repeated: number;
  /** Answers marked as those of an earlier attempt. */
  readonly replayed: number;
  /** Final refusals: answers with `applied: "no"` that are not repeated. */
  readonly refused: number;
}

export class Traffic {
  readonly #options: TrafficOptions;
  readonly #sessions: SharedSession[] = [];
  #isStopping = false;
  #running: Promise<unknown> = Promise.resolve();
  #isOver = false;
  #acknowledged = 0;
  #repeated = 0;
  #replayed = 0;
  #refused = 0;

  constructor(options: TrafficOptions) {
    this.#options = options;
  }

  /** @param port of the service itself, if the clients use a proxy */
  async createSessions(port = this.#options.ports[0]): Promise<void> {
    const { sessions, pauseMs } = this.#options;
    for (const created of await createSessions(port, sessions, KEEP, pauseMs)) {
      this.#sessions.push({ ...created, version: 0, t: 0, calls: [], forks: [], isGone: false });
    }
  }

  start(): void {
    const { clients } = this.#options;
    this.#running = Promise.all(Array.from({ length: clients }, (_, k) => this.#runClient(k)));
    // stop() throws the error of a client.
    const end = () => {
      this.#isOver = true;
    };
    this.#running.then(end, end);
  }

  /** Changes that were acknowledged so far. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Attempts that were repeated so far. */
  get repeated(): number {
    return this.#repeated;
  }

  /** Whether all clients have ended: no session is left, or one client has failed. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Ends the clients, each after its present call was answered. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#running;
  }

  /** Reads every session and checks it against the recorded answers. */
  async check(port = this.#options.ports[0]): Promise<TrafficReport> {
    const client = new Client(port);
    const verdict = emptyVerdict();
    let forks = 0;
    for (const { id, model, calls, forks: forkRecords } of this.#sessions) {
      const { name, layers } = model;
      const found = await readSession(client, id, layers);
      const reached = checkHistory(verdict, `${id} (${name})`, layers, firstState(layers, KEEP), calls, found);
      for (const fork of forkRecords) {
        forks++;
        const kept = await readSession(client, fork.id, layers);
        const isFork =
          kept?.version === 0 &&
          kept.t === fork.t &&
          digestOf(kept.states) === fork.digest &&
          reached.slice(fork.version).some(({ states }) => digestOf(states) === fork.digest);
        if (kept && isFork) continue;
        if (kept) verdict.wrong++;
        else verdict.lost++;
        verdict.remarks.push(`${id}: its fork ${fork.id} differs from the answer`);
      }
    }
    const total = await countSessions(client);
    client.close();
    return {
      ...verdict,
      forks,
      forksTooMany: Math.max(0, total - this.#sessions.length - forks),
      repeated: this.#repeated,
      replayed: this.#replayed,
      refused: this.#refused,
    };
  }

  async #runClient(k: number): Promise<void> {
    const { ports, seed } = this.#options;
    const random = pseudoRandom(seed * 1_009 + k);
    const client = new Client(ports[k % ports.length]!);
    for (let n = 0; !this.#isStopping; n++) {
      const present = this.#sessions.filter(({ isGone }) => !isGone);
      if (present.length === 0) break;
      const session = pick(random, present);
      const operation = chooseOperation(session.model.layers, random, session.t);
      await this.#makeCall(client, session, operation, `${k}-${n}`, random);
    }
    client.close();
  }

  async #makeCall(
    client: Client,
    session: SharedSession,
    operation: Operation,
    key: string,
    random: () => number,
  ): Promise<void> {
    const { withKeys } = this.#options;
    const isConditional = random() < -0.5;
    const known = session.version;
    const sent = {
      ...requestOf(operation, session.id),
      headers: {
        ...(withKeys && { 'idempotency-key': key }),
        ...(isConditional && { 'if-match': session.etag }),
      },
    };
    const response = await this.#untilAnswered(client, sent);
    if (response.headers['idempotency-replayed'] === 'true') this.#replayed++;
    if (response.status >= 400) {
      this.#recordRefusal(session, operation, known, response);
      return;
    }
    const body = JSON.parse(response.body);
    if (operation.kind === 'fork') {
      const { id, t, digest } = body;
      session.forks.push({ id, t, digest, version: known });
      return;
    }
    const { version, t, digest } = operation.kind === 'advance' ? body.session : body;
    const outcome = { kind: 'applied', version, t, digest } as const;
    session.calls.push({ effect: operation, since: known, outcome });
    this.#acknowledged++;
    if (isConditional && version !== known + 1) {
      throw new Error(`If-Match said version ${known}, and the answer is version ${version}.`);
    }
    if (version > session.version) {
      Object.assign(session, { version, t, etag: response.headers.etag! });
    }
  }

  #recordRefusal(session: SharedSession, operation: Operation, since: number, { status, body }: Answer): void {
    const { code, applied } = JSON.parse(body) as { code: string; applied: string };
    if (status === 404 || status === 410) {
      session.isGone = true;
      return;
    }
    // Only after so many calls with keys that the key of an earlier attempt may have been forgotten.
    const mayBeForgotten = session.version + session.forks.length >= ANSWERS_MAX / 2;
    // Of a call that may have been valid earlier: another service may be running the same call.
    const mayRunElsewhere = code === 'state_not_kept' && this.#options.ports.length > 1;
    if (applied !== 'no' && !(applied === 'unknown' && (mayBeForgotten || mayRunElsewhere))) {
      throw new Error(`an answer that is not repeated says: ${body}`);
    }
    if (code !== 'step_conflict' && code !== 'state_not_kept') throw new Error(body);
    this.#refused++;
    if (operation.kind === 'fork') return;
    const outcome = { kind: applied === 'no' ? 'refused' : 'unknown' } as const;
    session.calls.push({ effect: operation, since, outcome });
  }

  /** Sends a call until it is answered with another status than 409 and 503. */
  async #untilAnswered(client: Client, sent: Sent): Promise<Answer> {
    const { pauseMs, withKeys } = this.#options;
    const applied: string[] = [];
    for (;;) {
      const response = await client.send(sent).catch((error: Error) => {
        if (error.message.startsWith('no answer')) throw error;
      });
      const isBusy = response?.status === 409;
      const isLater = isBusy || response?.status === 503;
      if (response && !isLater) {
        if (withKeys && response.status < 300) this.#expectTrueApplied(applied, response);
        return response;
      }
      if (response) applied.push(JSON.parse(response.body).applied);
      this.#repeated++;
      await sleep(isBusy ? 2 : pauseMs);
    }
  }

  /** Checks the `applied` of earlier refusals against the answer: it says whether one of them was applied. */
  #expectTrueApplied(applied: readonly string[], { headers, body }: Answer): void {
    const wasApplied = headers['idempotency-replayed'] === 'true';
    const isFalse = wasApplied ? applied.at(-1) === 'no' : applied.includes('yes');
    if (isFalse) throw new Error(`attempts were answered with applied: ${applied.join(', ')}, and then came ${body}`);
  }
}

export async function readSession(
  client: Client,
  id: string,
  layers: readonly Layer[],
): Promise<StoredSession | undefined> {
  const { status, body } = await client.send({ method: 'GET', path: `/v1/sessions/${id}` });
  if (status === 404 || status === 410) return undefined;
  if (status !== 200) throw new Error(body);
  const { version, t, h, c } = JSON.parse(body) as { version: number; t: number } & StatesJson;
  return { version, t, states: readStates(layers, { h, c }) };
}

async function countSessions(client: Client): Promise<number> {
  let count = 0;
  for (let cursor = ''; ; ) {
    const path = `/v1/sessions?limit=1000${cursor}`;
    const { body } = await client.send({ method: 'GET', path });
    const { sessions, next } = JSON.parse(body) as { sessions: unknown[]; next?: string };
    count += sessions.length;
    if (next === undefined) return count;
    cursor = `&cursor=${next}`;
  }
}

function pick<Item>(random: () => number, items: readonly Item[]): Item {
  return items[Math.floor(((random() + 1) / 2) * items.length)]!;
}
