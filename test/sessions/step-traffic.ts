// Clients that step sessions of their own in batches and over sockets, while the service is killed.
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { Client } from './client.ts';
import type { KilledTraffic } from './crash.ts';
import { createSessions } from './create-sessions.ts';
import { OwnSession, type OwnVerdict, emptyOwnVerdict } from './own-session.ts';
import { BatchClient, SocketClient } from './step-clients.ts';
import { BATCH_FORMATS } from './step-messages.ts';
import { readSession } from './traffic.ts';

export interface StepTrafficOptions {
  /** Of the service, or of a proxy before it. */
  readonly port: number;
  readonly seed: number;
  /** Whether a step that is sent again has the key that it had. */
  readonly withKeys: boolean;
  readonly pauseMs: number;
}

/** What the clients of one kind have counted. */
export interface Counts {
  readonly acknowledged: number;
  readonly repeated: number;
  readonly replayed: number;
}

export interface StepReport extends OwnVerdict {
  readonly batches: Counts;
  readonly sockets: Counts;
}

/** Beside one client for each kind of body of a batch. */
const SOCKET_CLIENTS = 3;
/** Of each client: with several items in flight for each of them. */
const SESSIONS_EACH = 5;

export class StepTraffic implements KilledTraffic<StepReport> {
  readonly #options: StepTrafficOptions;
  readonly #sessions: OwnSession[] = [];
  readonly #batches: BatchClient[] = [];
  readonly #sockets: SocketClient[] = [];
  #isStopping = false;
  #isOver = false;
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: StepTrafficOptions) {
    this.#options = options;
  }

  async createSessions(servicePort: number): Promise<void> {
    const { port, seed, withKeys, pauseMs } = this.#options;
    const count = BATCH_FORMATS.length + SOCKET_CLIENTS;
    const created = await createSessions(servicePort, count * SESSIONS_EACH, 0, pauseMs);
    for (let k = 0; k < count; k++) {
      const random = pseudoRandom(seed * 1_009 + k);
      const own = created.slice(k * SESSIONS_EACH, (k + 1) * SESSIONS_EACH);
      const sessions = own.map((session) => new OwnSession(session, withKeys, random));
      this.#sessions.push(...sessions);
      const options = { port, sessions, random, pauseMs };
      const format = BATCH_FORMATS[k];
      if (format) this.#batches.push(new BatchClient(format, options));
      else this.#sockets.push(new SocketClient(options));
    }
  }

  start(): void {
    this.#running = Promise.all(this.#clients.map((client) => client.run(() => this.#isStopping)));
    // stop() throws the error of a client.
    const end = () => {
      this.#isOver = true;
    };
    this.#running.then(end, end);
  }

  get acknowledged(): number {
    return this.#clients.reduce((sum, { acknowledged }) => sum + acknowledged, 0);
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#running;
  }

  async check(servicePort: number): Promise<StepReport> {
    const client = new Client(servicePort);
    const verdict = emptyOwnVerdict();
    for (const session of this.#sessions) {
      session.check(verdict, await readSession(client, session.id, session.model.layers));
    }
    client.close();
    return { ...verdict, batches: countsOf(this.#batches), sockets: countsOf(this.#sockets) };
  }

  get #clients() {
    return [...this.#batches, ...this.#sockets];
  }
}

function countsOf(clients: readonly Counts[]): Counts {
  const sum = (count: (client: Counts) => number) => clients.reduce((total, client) => total + count(client), 0);
  return { acknowledged: sum((one) => one.acknowledged), repeated: sum((one) => one.repeated), replayed: sum((one) => one.replayed) };
}
