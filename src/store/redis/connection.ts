// The connection to Redis: one request, one answer, in time.
//
// The client sends a command once (client.ts). This file sends it again until the deadline, which is safe:
// every request of the store can be executed twice with the effect of once (record-scripts.ts, model-scripts.ts). So a request
// whose reply was lost is mostly cleared up, and where it is not the error says applied `unknown`.
import { setTimeout as sleep } from 'node:timers/promises';
import type { ErrorCode } from '../../error-kinds.ts';
import { CarryoverError } from '../../errors.ts';
import type { RedisAddress } from '../../settings/redis-url.ts';
import {
  type Argument,
  RECONNECT_DELAY_MS_MAX,
  RETRY_DELAY_MS,
  type RedisClient,
  createClient,
  send,
} from './client.ts';
import type { ServerClock } from './clock.ts';
import { Confirmations, type ConfirmationsOptions } from './confirmations.ts';
import { ConnectionState, type DeadlineMs } from './connection-state.ts';
import type { RedisKeys } from './keys.ts';
import { ServerProbe } from './probe.ts';
import { isAuthenticationError, meaningOf } from './replies.ts';
import { type Request, requestOf } from './request.ts';
import type { Script } from './script.ts';
import { durabilityOf, evictionOf, incompatibilityOf } from './server-info.ts';

/** Of one attempt; the time of a request is for two at least. */
const ATTEMPT_MS_MAX = 1_000;
const PROBE_INTERVAL_MS = 1_000;

export interface Answer {
  readonly reply: unknown;
  /** Whether an earlier attempt may have been executed too. */
  readonly isRepeat: boolean;
}

export interface RedisConnectionOptions {
  /** In which every request is answered, whatever Redis does. */
  readonly timeoutMs: number;
  readonly confirmations?: ConfirmationsOptions | undefined;
}

export class RedisConnection {
  /** What time it is for all that share the server. */
  readonly clock: ServerClock;
  readonly #address: RedisAddress;
  readonly #timeoutMs: number;
  readonly #attemptMs: number;
  readonly #client: RedisClient;
  readonly #state: ConnectionState;
  readonly #probe: ServerProbe;
  /** Undefined if replicas are not waited for. */
  readonly #confirmations: Confirmations | undefined;
  readonly #running = new Set<Promise<unknown>>();
  #probeTimer: NodeJS.Timeout | undefined;

  constructor(address: RedisAddress, keys: RedisKeys, { timeoutMs, confirmations }: RedisConnectionOptions) {
    this.#address = address;
    this.#timeoutMs = timeoutMs;
    this.#attemptMs = Math.min(Math.ceil(timeoutMs / 2), ATTEMPT_MS_MAX);
    this.#client = createClient(address, timeoutMs, this.#attemptMs);
    this.#state = new ConnectionState(timeoutMs);
    this.#probe = new ServerProbe(this.#client, address);
    this.clock = this.#probe.clock;
    this.#confirmations = confirmations && new Confirmations(address, keys, confirmations);
    this.#client.on('ready', () => void this.#admitWhenProbed());
    this.#client.on('error', (error: Error) => this.#note(error));
    this.#client.on('disconnecting', () => this.#state.setDown());
    this.#client.on('close', () => this.#state.setDown());
    this.#client.on('end', () => this.#connectAgain());
  }

  /** @throws Error, one line, if there is no usable server in time */
  async open(): Promise<void> {
    void this.#client.connect().catch(() => {});
    const isUsable = await this.#state.untilUsable(this.deadline());
    const incompatibility = incompatibilityOf(this.#probe.infos, this.#address.isCluster);
    if (!isUsable || incompatibility !== undefined) {
      const { isRefused, problem } = this.#state;
      await this.close();
      const reason = isRefused ? 'refuses' : `does not answer within ${this.#timeoutMs} ms`;
      throw new Error(`Redis at ${this.#address.text} ${incompatibility ?? `${reason}: ${problem}`}`);
    }
    this.#probeTimer = setInterval(() => void this.#runProbe(), PROBE_INTERVAL_MS).unref();
  }

  /** For a request that begins now. Several requests of one call share a deadline. */
  deadline(): DeadlineMs {
    return performance.now() + this.#timeoutMs;
  }

  /**
   * Runs a script that may change what is stored.
   *
   * @throws store_full · store_unavailable, applied `unknown` only if it may have been executed
   */
  async run(
    script: Script,
    keys: readonly string[],
    args: readonly Argument[],
    deadlineMs: DeadlineMs,
  ): Promise<Answer> {
    return this.#confirmed(keys[0]!, deadlineMs, requestOf(script, keys, args));
  }

  /** The same for what a failover may lose. */
  async runUnconfirmed(
    script: Script,
    keys: readonly string[],
    args: readonly Argument[],
    deadlineMs: DeadlineMs,
  ): Promise<Answer> {
    return this.#request(requestOf(script, keys, args), deadlineMs);
  }

  /**
   * Runs a command that changes nothing.
   *
   * @returns the reply, whose strings are Buffers
   * @throws store_unavailable, applied `no`
   */
  async read(name: string, args: readonly Argument[], deadlineMs: DeadlineMs): Promise<unknown> {
    const { reply } = await this.#request({ command: { name, args }, isWrite: false }, deadlineMs);
    return reply;
  }

  /** The same, with what replicas have, if they are to be waited for. */
  async readConfirmed(name: string, args: readonly [string, ...Argument[]], deadlineMs: DeadlineMs): Promise<unknown> {
    const { reply } = await this.#confirmed(args[0], deadlineMs, { command: { name, args }, isWrite: false });
    return reply;
  }

  /** Why requests cannot be served at this moment; empty if they can. */
  problems(): string[] {
    if (!this.#state.isUsable) return [`Redis is not connected: ${this.#state.problem}`];
    const { silentNode, infos } = this.#probe;
    if (silentNode !== undefined) return [`Redis at ${silentNode} does not answer`];
    return [incompatibilityOf(infos, this.#address.isCluster), evictionOf(infos)].filter(
      (problem) => problem !== undefined,
    );
  }

  /** Why the server may evict sessions; undefined if it does not. */
  get eviction(): string | undefined {
    return evictionOf(this.#probe.infos);
  }

  /** The server, what its answers survive, and what it does not permit to ask. */
  get description(): string {
    const { infos } = this.#probe;
    const versions = new Set(infos.flatMap(({ version }) => version ?? []));
    const kind = this.#address.isCluster ? [`cluster of ${infos.length}`] : [];
    const server = ['Redis', ...versions, ...kind, 'at', this.#address.text].join(' ');
    const isEvictionUnknown = infos.some(({ maxmemoryPolicy }) => maxmemoryPolicy === undefined);
    const notes = [
      ...(this.#confirmations ? [this.#confirmations.description] : []),
      ...(isEvictionUnknown ? ['whether it evicts sessions is not known (INFO is not permitted)'] : []),
      ...(this.clock.isKnown ? [] : ['lifetimes go by the clock of this computer (TIME is not permitted)']),
    ];
    return [`${server}: ${durabilityOf(infos)}`, ...notes].join('; ');
  }

  /** Waits for the requests that run, until their deadline at most, and closes the connection. */
  async close(): Promise<void> {
    clearInterval(this.#probeTimer);
    const deadlineMs = this.deadline();
    while (this.#running.size > 0 && performance.now() < deadlineMs) {
      await Promise.allSettled(this.#running);
      // A call may consist of several requests: by the next iteration it has sent the next one.
      await new Promise(setImmediate);
    }
    this.#state.setClosed();
    this.#client.disconnect();
    this.#confirmations?.close();
  }

  /** A request about one key, whose answer replicas have, if they are to be waited for. */
  async #confirmed(key: string, deadlineMs: DeadlineMs, request: Request): Promise<Answer> {
    const confirmations = this.#confirmations;
    if (!confirmations) return this.#request(request, deadlineMs);
    return this.#track(async () => {
      const confirmation = await confirmations.begin(key, deadlineMs);
      const answer = await this.#sendUntilAnswered(request, deadlineMs);
      await confirmation.expect(deadlineMs, request.isWrite ? 'unknown' : 'no');
      return answer;
    });
  }

  #request(request: Request, deadlineMs: DeadlineMs): Promise<Answer> {
    return this.#track(() => this.#sendUntilAnswered(request, deadlineMs));
  }

  /** close() waits for what is tracked. */
  async #track(run: () => Promise<Answer>): Promise<Answer> {
    const answer = run();
    this.#running.add(answer);
    try {
      return await answer;
    } finally {
      this.#running.delete(answer);
    }
  }

  /** Sends a request until there is a reply that decides, or the deadline has come. */
  async #sendUntilAnswered(request: Request, deadlineMs: DeadlineMs): Promise<Answer> {
    const { isWrite, commandWithSource } = request;
    let { command } = request;
    let isRepeat = false;
    while (await this.#state.untilUsable(deadlineMs)) {
      const leftMs = Math.ceil(deadlineMs - performance.now());
      const result = await send(this.#client, command, Math.min(this.#attemptMs, leftMs));
      if (result.kind === 'reply') return { reply: result.reply, isRepeat };
      if (result.kind === 'lost') isRepeat = true;
      if (result.kind === 'errorReply') {
        const { message } = result.error;
        const meaning = meaningOf(message);
        if (meaning === 'sendSource' && commandWithSource) {
          command = commandWithSource;
          continue;
        }
        this.#note(result.error);
        const mayBeApplied = isWrite && (isRepeat || meaning === 'failed');
        if (meaning === 'full') throw this.#full(message, mayBeApplied);
        if (meaning !== 'retry') throw this.#unavailable('Redis refuses the request', mayBeApplied);
      }
      await sleep(Math.max(0, Math.min(RETRY_DELAY_MS, deadlineMs - performance.now())));
    }
    const what = this.#state.isClosed ? 'The store is closed' : `Redis did not answer within ${this.#timeoutMs} ms`;
    throw this.#unavailable(what, isWrite && isRepeat);
  }

  #full(errorReply: string, mayBeApplied: boolean): CarryoverError {
    const detail = 'The memory of Redis is full (maxmemory).';
    return this.#error('store_full', detail, mayBeApplied, errorReply);
  }

  #unavailable(what: string, mayBeApplied: boolean): CarryoverError {
    const detail = mayBeApplied
      ? `${what}: the change may have been made, read the session.`
      : `${what}: nothing was changed.`;
    const cause = `Redis at ${this.#address.text}: ${this.#state.problem}`;
    return this.#error('store_unavailable', detail, mayBeApplied, cause);
  }

  #error(code: ErrorCode, detail: string, mayBeApplied: boolean, cause: string): CarryoverError {
    const applied = mayBeApplied ? 'unknown' : 'no';
    return new CarryoverError(code, { detail, applied, cause: new Error(cause) });
  }

  /** The client has a new connection: no request is sent over it before a probe was answered. */
  async #admitWhenProbed(): Promise<void> {
    while (!(await this.#runProbe())) {
      await sleep(RETRY_DELAY_MS);
      if (this.#client.status !== 'ready') return;
    }
    if (this.#client.status === 'ready') this.#state.setUsable();
  }

  /** Whether a node can be used. */
  async #runProbe(): Promise<boolean> {
    const result = await this.#probe.run();
    switch (result.kind) {
      case 'answered':
        return true;
      case 'silent':
        return false;
      case 'refused':
        this.#state.setDown();
        this.#state.setRefused(result.reason);
        return false;
      case 'replica':
        // After a failover the address may lead to the new primary already.
        this.#state.setProblem(result.reason);
        this.#state.setDown();
        this.#client.disconnect(true);
        return false;
    }
  }

  /** ioredis has given up, which it does in races only: connect again. */
  #connectAgain(): void {
    this.#state.setDown();
    const connect = () => !this.#state.isClosed && void this.#client.connect().catch(() => {});
    setTimeout(connect, RECONNECT_DELAY_MS_MAX).unref();
  }

  /** Keeps the message for people, never the error: those of ioredis hold the arguments, so passwords. */
  #note(error: Error): void {
    const { password } = this.#address;
    const ofNode = 'lastNodeError' in error ? (error.lastNodeError as Error | undefined) : undefined;
    const { message, code } = (ofNode ?? error) as Error & { code?: string };
    // If a name has several addresses and none answers, the error has a code but no message.
    const line = (message || code || 'unknown').split('\n', 1)[0]!;
    const isSilence = /^(Socket timeout|Command timed out)/.test(line);
    const problem = isSilence ? 'it is silent' : password ? line.replaceAll(password, '***') : line;
    if (isAuthenticationError(message)) this.#state.setRefused(problem);
    else this.#state.setProblem(problem);
  }
}
