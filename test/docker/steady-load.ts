// Clients that use the service as its guide says, all the time: steps of models and of sessions, streams, WebSockets.
// Whatever a client was told not to expect is a failure; what was answered is compared with the sessions in the end.
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { StreamClient } from '../helpers/stream-client.ts';
import { EventReader, openStream, readAll } from '../helpers/streams.ts';

const MODEL = 'sunspots';
/** Of the streams: several chunks, which take some tens of milliseconds. */
const T = 2_000;
const JSON_TYPE = { 'content-type': 'application/json' };

/** How a client of a session makes sure that a step counts once. */
export type Guard = 'key' | 'if-match' | 'key and if-match' | 'none';

export interface LoadOptions {
  readonly models?: number;
  readonly sessions?: Partial<Record<Guard, number>>;
  readonly streams?: number;
  readonly sockets?: number;
  /** Between two calls of a client: the machine is to start replicas as well. */
  readonly pauseMs?: number;
  /** Whether a WebSocket may also be lost without a Close frame. */
  readonly losesConnections?: boolean;
}

export interface LoadCounts {
  steps: number;
  sessionSteps: number;
  replayed: number;
  streams: number;
  messages: number;
  /** WebSockets that the service has closed. */
  reconnects: number;
}

interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly body: any;
}

interface SteppedSession {
  readonly id: string;
  readonly number: number;
  readonly guard: Guard;
  etag: string;
  /** Steps that were answered. */
  acknowledged: number;
}

/** The input of step k, counted from 0; of one session not that of another. */
function inputOf(session: number, k: number): number {
  return ((session * 7 + k * 3) % 13) / 10 - 0.6;
}

export class SteadyLoad {
  readonly counts: LoadCounts = { steps: 0, sessionSteps: 0, replayed: 0, streams: 0, messages: 0, reconnects: 0 };
  /** What a client should not have seen, in words. */
  readonly failures: string[] = [];
  readonly #url: string;
  readonly #options: LoadOptions;
  readonly #sessions: SteppedSession[] = [];
  #isStopping = false;
  #running: Promise<unknown> = Promise.resolve();

  /** @param url of the gateway */
  constructor(url: string, options: LoadOptions) {
    this.#url = url;
    this.#options = options;
  }

  async start(): Promise<void> {
    const { models = 0, sessions = {}, streams = 0, sockets = 0 } = this.#options;
    const clients: Promise<void>[] = [];
    const expected = await this.#expectedOfModel();
    for (let k = 0; k < models; k++) clients.push(this.#stepModel(expected));
    const lines = await this.#linesOfStream();
    for (let k = 0; k < streams; k++) clients.push(this.#stream(lines, k % 2 === 1));
    for (const [guard, number = 0] of Object.entries(sessions) as [Guard, number | undefined][]) {
      for (let k = 0; k < number; k++) clients.push(this.#stepSession(await this.#create(guard)));
    }
    for (let k = 0; k < sockets; k++) clients.push(this.#talk(await this.#create('key')));
    this.#running = Promise.all(clients);
  }

  /** Resolves when each client has the answer to its last call. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    await this.#running;
  }

  /** Of each session with this guard: steps that were answered but are not in it, and those that are in it too often. */
  async check(guard?: Guard): Promise<{ lost: number; doubled: number; wrong: string[] }> {
    let [lost, doubled] = [0, 0];
    const wrong: string[] = [];
    for (const session of this.#sessions) {
      if (guard !== undefined && session.guard !== guard) continue;
      const found = (await this.#call('GET', `/v1/sessions/${session.id}`)).body;
      lost += Math.max(0, session.acknowledged - found.t);
      doubled += Math.max(0, found.t - session.acknowledged);
      if (found.t === 0 || found.t !== session.acknowledged) continue;
      const reference = await this.#stepAtOnce(session);
      if (!isDeepStrictEqual(found.h, reference.h)) wrong.push(`session ${session.number} after ${found.t} steps`);
    }
    return { lost, doubled, wrong };
  }

  async #call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Reply> {
    const response = await fetch(this.#url + path, {
      method,
      headers: body === undefined ? headers : { ...JSON_TYPE, ...headers },
      body: body === undefined ? null : JSON.stringify(body),
    });
    return { status: response.status, headers: response.headers, body: await response.json() };
  }

  async #create(guard: Guard): Promise<SteppedSession> {
    const { headers, body } = await this.#call('POST', '/v1/sessions', { model: MODEL });
    const session = { id: body.id, number: this.#sessions.length, guard, etag: headers.get('etag')!, acknowledged: 0 };
    this.#sessions.push(session);
    return session;
  }

  /** The same steps by one call, of a session that nobody else uses. */
  async #stepAtOnce({ number, acknowledged }: SteppedSession): Promise<{ h: number[][] }> {
    const { body: fresh } = await this.#call('POST', '/v1/sessions', { model: MODEL });
    const x = Array.from({ length: acknowledged }, (_, k) => [[inputOf(number, k)]]);
    return (await this.#call('POST', '/v1/sequence', { session: fresh.id, x, outputs: ['h'] })).body;
  }

  async #expectedOfModel(): Promise<unknown> {
    return (await this.#call('POST', '/v1/step', { model: MODEL, x: [[0.5]] })).body;
  }

  async #stepModel(expected: unknown): Promise<void> {
    while (!this.#isStopping) {
      await this.#attempt('a step', async () => {
        const { status, body } = await this.#call('POST', '/v1/step', { model: MODEL, x: [[0.5]] });
        if (status !== 200) return `${status} ${body.code}`;
        if (!isDeepStrictEqual(body, expected)) return 'other numbers';
        this.counts.steps++;
        return undefined;
      });
    }
  }

  /** A step after the other. One that fails is repeated if that is safe; otherwise the session is left alone. */
  async #stepSession(session: SteppedSession): Promise<void> {
    const hasKey = session.guard.includes('key');
    while (!this.#isStopping) {
      const isDone = await this.#attempt(`a step of a session (${session.guard})`, async () => {
        const k = session.acknowledged;
        const { status, headers, body } = await this.#call(
          'POST',
          '/v1/step',
          { x: [[inputOf(session.number, k)]] },
          {
            'x-session-id': session.id,
            ...(hasKey && { 'idempotency-key': `step-${k}` }),
            ...(session.guard.includes('if-match') && { 'if-match': session.etag }),
          },
        );
        if (status !== 200) return `${status} ${body.code}`;
        session.acknowledged++;
        session.etag = headers.get('etag')!;
        this.counts.sessionSteps++;
        if (headers.get('idempotency-replayed') === 'true') this.counts.replayed++;
        return body.session.t === k + 1 ? undefined : `t is ${body.session.t} after step ${k + 1}`;
      });
      if (!isDone && !hasKey) return;
    }
  }

  async #linesOfStream(): Promise<readonly string[]> {
    const { text } = await readAll(await openStream(`${this.#url}/v1/sequence`, streamBody()));
    return text.trimEnd().split('\n');
  }

  async #stream(expected: readonly string[], isEvents: boolean): Promise<void> {
    const accept = isEvents ? 'text/event-stream' : 'application/x-ndjson';
    while (!this.#isStopping) {
      await this.#attempt(`a stream (${accept})`, async () => {
        const response = await openStream(`${this.#url}/v1/sequence`, streamBody(), accept);
        const { text, wasTerminated } = await readAll(response);
        if (response.statusCode !== 200) return `${response.statusCode} ${text.slice(0, 200)}`;
        const lines = isEvents ? dataOf(text) : text.trimEnd().split('\n');
        const last = lines.at(-1) ?? '';
        if (wasTerminated || last.startsWith('{"error"')) return `ended after ${lines.length} lines: ${last.slice(0, 200)}`;
        if (!isDeepStrictEqual(lines, expected)) return 'other lines';
        this.counts.streams++;
        return undefined;
      });
    }
  }

  /** Sends a message after the other; when the service closes the WebSocket, opens it again and repeats the last. */
  async #talk(session: SteppedSession): Promise<void> {
    const address = `${this.#url.replace('http', 'ws')}/v1/sessions/${session.id}/stream`;
    while (!this.#isStopping) {
      await this.#attempt('a WebSocket', async () => {
        const opened = await openSocket(address);
        if (typeof opened === 'string') return opened;
        const wrong = await this.#talkOn(opened, session);
        if (this.#isStopping || wrong !== undefined) {
          await opened.close();
          return wrong;
        }
        const { code } = await opened.closed;
        this.counts.reconnects++;
        if (code === 1001 || code === 1012 || this.#options.losesConnections) return undefined;
        return `closed with ${code}`;
      });
    }
  }

  /** Until the WebSocket is closed. @returns what is wrong */
  async #talkOn(client: StreamClient, session: SteppedSession): Promise<string | undefined> {
    while (!this.#isStopping) {
      const k = session.acknowledged;
      let answer: any;
      try {
        answer = await client.ask({ x: [[inputOf(session.number, k)]], id: k, key: `step-${k}` });
      } catch {
        return undefined;
      }
      if (answer.error?.code === 'shutting_down') return undefined;
      if (answer.error) return answer.error.code;
      session.acknowledged++;
      this.counts.messages++;
      await sleep(this.#options.pauseMs ?? 4);
      if (answer.replayed) this.counts.replayed++;
      if (answer.session.t !== k + 1) return `t is ${answer.session.t} after message ${k + 1}`;
    }
    return undefined;
  }

  /** Runs `call`, which tells what is wrong. @returns whether nothing is */
  async #attempt(what: string, call: () => Promise<string | undefined>): Promise<boolean> {
    let wrong: string | undefined;
    try {
      wrong = await call();
    } catch (error) {
      const { message, cause } = error as Error;
      wrong = `${message} ${(cause as Error | undefined)?.message ?? ''}`;
    }
    await sleep(this.#options.pauseMs ?? 4);
    if (wrong !== undefined) this.failures.push(`${what}: ${wrong}`);
    return wrong === undefined;
  }
}

function streamBody() {
  const x = Array.from({ length: T }, (_, k) => [[inputOf(0, k)]]);
  return { model: MODEL, x };
}

function dataOf(text: string): readonly string[] {
  const reader = new EventReader();
  reader.push(Buffer.from(text));
  return reader.events.map(({ data }) => data);
}

/** When the session is described. @returns what is wrong, if the handshake fails */
async function openSocket(address: string): Promise<StreamClient | string> {
  try {
    const { client, greeting } = await StreamClient.connect(address);
    return greeting.error ? `greeted with ${greeting.error.code}` : client;
  } catch (error) {
    return `not opened: ${(error as Error).message}`;
  }
}
