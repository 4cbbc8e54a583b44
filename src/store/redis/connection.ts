// The connection to Redis: one request, one answer, in time.
//
// The client sends nothing twice (client.ts). This file asks again itself, until the deadline, and may:
// every request of the store can be executed twice with the effect of once (see scripts.ts). So a lost
// answer is mostly found out, and where it is not the error says 'unknown'.
import { Cluster, type Redis } from 'ioredis';
import { CarryoverError } from '../../errors.ts';
import type { RedisAddress } from './address.ts';
import {
  type Argument,
  Attempt,
  PAUSE_MS,
  RECONNECT_DELAY_MS_MAX,
  type Request,
  createClient,
} from './client.ts';
import { ServerClock } from './clock.ts';
import { type ServerInfo, durabilityOf, evictionOf, parseServerInfo, incompatibilityOf } from './server-info.ts';
import type { Script } from './scripts.ts';

export interface Answer {
  readonly reply: unknown;
  /** An earlier attempt may have been executed too. */
  readonly isRepeat: boolean;
}

/** When a request has to be answered, whatever Redis does: performance.now(). */
export type DeadlineMs = number;

const ATTEMPT_MS_MAX = 1_000;
const PROBE_EVERY_MS = 1_000;
/** Older news of the server is no news. */
const PROBE_AGE_MS_MAX = 1_900;

interface Node {
  /** Absent while there is no connection to a node of a cluster. */
  redis: Redis | undefined;
  facts: ServerInfo | undefined;
  answeredAtMs: number;
}

/** Replies that say for sure that nothing was executed. Lua puts words before them (Redis 6). */
const NOT_NOW = /\b(LOADING|CLUSTERDOWN|MASTERDOWN|TRYAGAIN|READONLY|BUSY|NOREPLICAS) /;
const NOT_AT_ALL = /^(MISCONF|NOAUTH|WRONGPASS|NOPERM|MOVED|ASK|CROSSSLOT|ERR unknown command|ERR max)/;
const FULL = /\bOOM command not allowed|^MISCONF.*(No space left|maxmemory)/;
const LOCKED_OUT = /^(NOAUTH|WRONGPASS) |invalid password/;

export class RedisConnection {
  /** That of the server; of a cluster that of the first primary in the order of the slots. */
  readonly clock = new ServerClock();
  readonly #address: RedisAddress;
  readonly #timeoutMs: number;
  /** Of one attempt: half the time at most, so that there is time for a second. */
  readonly #attemptMs: number;
  readonly #client: Redis | Cluster;
  #nodes = new Map<string, Node>();
  #isUsable = false;
  #isClosed = false;
  #downSinceMs = performance.now();
  #reason = 'it has not been reached yet';
  #isLockedOut = false;
  readonly #waiters = new Set<() => void>();
  readonly #running = new Set<Promise<unknown>>();
  #probeTimer: NodeJS.Timeout | undefined;

  constructor(address: RedisAddress, timeoutMs: number) {
    this.#address = address;
    this.#timeoutMs = timeoutMs;
    this.#attemptMs = Math.min(Math.ceil(timeoutMs / 2), ATTEMPT_MS_MAX);
    this.#client = createClient(address, timeoutMs, this.#attemptMs);
    this.#client.on('error', (error: Error) => this.#note(error));
    this.#client.on('ready', () => void this.#greet());
    this.#client.on('close', () => this.#lose());
    this.#client.on('end', () => this.#begin());
  }

  /** @throws Error, one line, if there is no usable server in time */
  async open(): Promise<void> {
    void this.#client.connect().catch(() => {});
    const isUp = await this.#untilUsable(this.deadline());
    const misfit = incompatibilityOf(this.#facts(), this.#address.isCluster);
    if (!isUp || misfit !== undefined) {
      await this.close();
      const why = this.#isLockedOut ? 'refuses' : `does not answer within ${this.#timeoutMs} ms`;
      throw new Error(`Redis at ${this.#address.text} ${misfit ?? `${why}: ${this.#reason}`}`);
    }
    this.#probeTimer = setInterval(() => void this.#probe(), PROBE_EVERY_MS).unref();
  }

  deadline(): DeadlineMs {
    return performance.now() + this.#timeoutMs;
  }

  run(script: Script, keys: readonly string[], args: readonly Argument[], deadlineMs: DeadlineMs) {
    const rest = [String(keys.length), ...keys, ...args];
    return this.#track(this.#runScript(script, rest, deadlineMs));
  }

  async read(name: string, args: readonly Argument[], deadlineMs: DeadlineMs): Promise<unknown> {
    const { reply } = await this.#track(this.#ask({ name, args, changes: false }, deadlineMs));
    return reply;
  }

  /** Why nothing can be asked now. */
  problems(): string[] {
    if (!this.#isReady()) return [`Redis is not connected: ${this.#reason}`];
    const nowMs = performance.now();
    for (const [key, { answeredAtMs }] of this.#nodes) {
      if (nowMs - answeredAtMs > PROBE_AGE_MS_MAX) return [`Redis at ${key} does not answer`];
    }
    const facts = this.#facts();
    return [incompatibilityOf(facts, this.#address.isCluster), evictionOf(facts)].filter(
      (problem) => problem !== undefined,
    );
  }

  /** Why sessions may vanish by themselves. */
  get eviction(): string | undefined {
    return evictionOf(this.#facts());
  }

  get description(): string {
    const facts = this.#facts();
    const versions = new Set(facts.flatMap(({ version }) => version ?? []));
    const kind = this.#address.isCluster ? [`cluster of ${facts.length}`] : [];
    const what = ['Redis', ...versions, ...kind, 'at', this.#address.text].join(' ');
    const unknown = facts.some(({ maxmemoryPolicy }) => maxmemoryPolicy === undefined)
      ? '; whether it evicts sessions is not known (INFO is not permitted)'
      : '';
    const clock = this.clock.isKnown
      ? ''
      : '; lifetimes go by the clock of this computer (TIME is not permitted)';
    return `${what}: ${durabilityOf(facts)}${unknown}${clock}`;
  }

  /** Lets what runs end, and then hangs up. */
  async close(): Promise<void> {
    clearInterval(this.#probeTimer);
    const deadlineMs = this.deadline();
    while (this.#running.size > 0 && performance.now() < deadlineMs) {
      await Promise.allSettled(this.#running);
      // A call may be of several requests: the next one is made by now.
      await new Promise(setImmediate);
    }
    this.#isClosed = true;
    for (const wake of this.#waiters) wake();
    this.#client.disconnect();
  }

  async #runScript({ text, sha }: Script, rest: readonly Argument[], deadlineMs: DeadlineMs) {
    const request: Request = { name: 'evalsha', args: [sha, ...rest], changes: true };
    const whole: Request = { name: 'eval', args: [text, ...rest], changes: true };
    return this.#ask(request, deadlineMs, whole);
  }

  /**
   * Asks until there is an answer or the deadline has come.
   *
   * @param whole is asked instead after NOSCRIPT
   * @throws store_full · store_unavailable
   */
  async #ask(request: Request, deadlineMs: DeadlineMs, whole = request): Promise<Answer> {
    let [next, isRepeat] = [request, false];
    while (await this.#untilUsable(deadlineMs)) {
      const attempt = new Attempt(next);
      attempt.setTimeout(Math.min(this.#attemptMs, Math.ceil(deadlineMs - performance.now())));
      try {
        const reply = await this.#client.sendCommand(attempt);
        return { reply, isRepeat };
      } catch (error) {
        const { message, name } = error as Error;
        if (name !== 'ReplyError') {
          isRepeat ||= attempt.isWritten;
        } else if (message.includes('NOSCRIPT')) {
          next = whole;
          continue;
        } else {
          this.#note(error as Error);
          const isSure = NOT_AT_ALL.test(message) || FULL.test(message);
          const isUnknown = request.changes && (isRepeat || !isSure);
          if (!NOT_NOW.test(message)) throw this.#refusal(message, isUnknown);
        }
      }
      const leftMs = deadlineMs - performance.now();
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, Math.min(PAUSE_MS, leftMs))));
    }
    throw this.#unavailable(
      this.#isClosed ? 'The store is closed' : `Redis did not answer within ${this.#timeoutMs} ms`,
      request.changes && isRepeat,
    );
  }

  #refusal(message: string, isUnknown: boolean): CarryoverError {
    if (FULL.test(message)) {
      const applied = isUnknown ? 'unknown' : 'no';
      const detail = 'The memory of Redis is full (maxmemory).';
      return new CarryoverError('store_full', { detail, applied, cause: new Error(message) });
    }
    return this.#unavailable('Redis refuses the request', isUnknown);
  }

  #unavailable(what: string, isUnknown: boolean): CarryoverError {
    const detail = isUnknown
      ? `${what}: the change may have been made, read the session.`
      : `${what}: nothing was changed.`;
    const cause = new Error(`Redis at ${this.#address.text}: ${this.#reason}`);
    const applied = isUnknown ? 'unknown' : 'no';
    return new CarryoverError('store_unavailable', { detail, applied, cause });
  }

  #isReady(): boolean {
    return this.#isUsable && this.#client.status === 'ready';
  }

  /** False if it is not in time. One that has been down for long is not waited for. */
  async #untilUsable(deadlineMs: DeadlineMs): Promise<boolean> {
    for (;;) {
      const nowMs = performance.now();
      if (this.#isClosed || nowMs >= deadlineMs) return false;
      if (this.#isReady()) return true;
      if (this.#isLockedOut || nowMs - this.#downSinceMs > this.#timeoutMs) return false;
      await this.#change(deadlineMs - nowMs);
    }
  }

  /** Until the connection is another one, or so long. */
  #change(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.#waiters.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, timeoutMs);
      this.#waiters.add(wake);
    });
  }

  async #track<Value>(promise: Promise<Value>): Promise<Value> {
    this.#running.add(promise);
    try {
      return await promise;
    } finally {
      this.#running.delete(promise);
    }
  }

  /** A new connection: nothing is asked over it before it is known who is at the other end. */
  async #greet(): Promise<void> {
    while (!(await this.#probe())) {
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
      if (this.#client.status !== 'ready') return;
    }
    if (this.#client.status !== 'ready') return;
    this.#isUsable = true;
    this.#isLockedOut = false;
    for (const wake of this.#waiters) wake();
  }

  #lose(): void {
    if (this.#isUsable) this.#downSinceMs = performance.now();
    this.#isUsable = false;
  }

  /** ioredis has given up, which it does only in races: begin again. */
  #begin(): void {
    this.#lose();
    if (this.#isClosed) return;
    const again = () => !this.#isClosed && void this.#client.connect().catch(() => {});
    setTimeout(again, RECONNECT_DELAY_MS_MAX).unref();
  }

  /** Whether there is somebody to ask. */
  async #probe(): Promise<boolean> {
    const nowMs = performance.now();
    const redises = this.#client instanceof Cluster ? this.#client.nodes('master') : [this.#client];
    const nodes = new Map<string, Node>();
    for (const key of this.#primaries()) {
      const node = this.#nodes.get(key) ?? { redis: undefined, facts: undefined, answeredAtMs: nowMs };
      node.redis = redises.find(({ options }) => `${options.host}:${options.port}` === key);
      nodes.set(key, node);
    }
    this.#nodes = nodes;
    const isFirst = (node: Node) => node === nodes.values().next().value;
    const answers = await Promise.all(
      [...nodes.values()].map((node) => this.#probeNode(node, isFirst(node))),
    );
    return answers.includes(true);
  }

  /** Of a cluster the nodes that must be there, whether they are or not. */
  #primaries(): Iterable<string> {
    const { host, port } = this.#address.nodes[0]!;
    if (!(this.#client instanceof Cluster)) return [`${host}:${port}`];
    return new Set(this.#client.slots.flatMap((keys) => keys.slice(0, 1)));
  }

  async #probeNode(node: Node, hasClock: boolean): Promise<boolean> {
    const { redis } = node;
    if (redis?.status === 'wait') await redis.connect().catch(() => {});
    if (redis?.status !== 'ready') return false;
    if (!(await this.#hasDatabase(redis))) return false;
    const refused = (error: Error) => {
      if (error.name !== 'ReplyError') throw error;
      return undefined;
    };
    const askedAtMs = performance.now();
    try {
      const [time, info = '', config] = await Promise.all([
        hasClock ? redis.time().catch(refused) : undefined,
        redis.info().catch(refused),
        redis.config('GET', 'appendfsync').catch(refused),
      ]);
      if (time) this.clock.observe(msOf(time), askedAtMs, performance.now());
      node.facts = parseServerInfo(info, config?.[1]);
      node.answeredAtMs = performance.now();
    } catch {
      return false;
    }
    if (!node.facts.isReplica || this.#address.isCluster) return true;
    // What answers here was the primary once. The address may lead to another one by now.
    this.#reason = 'the server is a replica, not the primary';
    this.#lose();
    redis.disconnect(true);
    return false;
  }

  /** Asked on every new connection: ioredis goes on with database 0 when the server refuses another. */
  async #hasDatabase(redis: Redis): Promise<boolean> {
    const { db } = this.#address;
    if (db === 0) return true;
    try {
      await redis.select(db);
      return true;
    } catch (error) {
      const { name, message } = error as Error;
      if (name === 'ReplyError') {
        this.#isUsable = false;
        this.#lockOut(`it has no database ${db} for us, named in STORE_URL (${message})`);
      }
      return false;
    }
  }

  #facts(): ServerInfo[] {
    return [...this.#nodes.values()].flatMap(({ facts }) => facts ?? []);
  }

  /** Keeps a reason for people, never an error of ioredis: these hold the arguments, so passwords. */
  #note(error: Error): void {
    const { password } = this.#address;
    const from = 'lastNodeError' in error ? (error.lastNodeError as Error | undefined) : undefined;
    const { message, code } = (from ?? error) as Error & { code?: string };
    // Of several addresses none answered: such an error has no message of its own.
    const text = (message || code || 'unknown').split('\n', 1)[0]!;
    const isSilent = /^(Socket timeout|Command timed out)/.test(text);
    this.#reason = isSilent ? 'it is silent' : password ? text.replaceAll(password, '***') : text;
    if (LOCKED_OUT.test(message)) this.#lockOut(this.#reason);
  }

  /** Trying again helps nothing. */
  #lockOut(reason: string): void {
    this.#reason = reason;
    this.#isLockedOut = true;
    for (const wake of this.#waiters) wake();
  }
}

/** Of the reply to TIME: seconds and microseconds. */
function msOf([seconds, microseconds]: readonly number[]): number {
  return Number(seconds) * 1_000 + Number(microseconds) / 1_000;
}
