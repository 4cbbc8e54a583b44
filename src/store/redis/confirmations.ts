// Whether replicas of Redis have what the primary has answered (REDIS_WAIT_REPLICAS), by WAIT on connections of its
// own: WAIT blocks the connection on which it is sent until the replicas have answered, or its time is over.
//
// WAIT is about the earlier writes of its connection. So a write of no meaning goes before it, on the same connection:
// it stands behind all that the primary has answered before, and the replicas have what stands before what they have.
// The connection must be older than what it confirms: a new one may lead to another primary, which has lost that.
import { type Applied, CarryoverError } from '../../errors.ts';
import type { RedisAddress } from '../../settings/redis-url.ts';
import { type NodeClient, RETRY_DELAY_MS, type RedisClient, createClient, nodeOf, setAndWait } from './client.ts';
import type { DeadlineMs } from './connection-state.ts';
import type { RedisKeys } from './keys.ts';

export interface ConfirmationsOptions {
  /** Replicas that must have a change before it is answered. */
  readonly replicas: number;
  /** How long they are waited for. */
  readonly waitMs: number;
}

/** What an answer of Redis may take in addition. */
const MARGIN_MS = 1_000;

/** Confirms what the node of a key has answered since it was made. */
export class Confirmation {
  readonly #node: NodeClient;
  readonly #stream: NodeClient['stream'];
  readonly #key: string;
  readonly #options: ConfirmationsOptions;
  readonly #rounds: Rounds;

  constructor(node: NodeClient, key: string, options: ConfirmationsOptions, rounds: Rounds) {
    this.#node = node;
    this.#stream = node.stream;
    this.#key = key;
    this.#options = options;
    this.#rounds = rounds;
  }

  /**
   * Waits until the replicas have all that the node had answered when this was called.
   *
   * @param applied of the error: `unknown` after a change, as a failover could lose it
   * @throws store_unavailable
   */
  async expect(deadlineMs: DeadlineMs, applied: Applied): Promise<void> {
    const { replicas, waitMs } = this.#options;
    const { promise: late, resolve } = Promise.withResolvers<number>();
    const timer = setTimeout(resolve, deadlineMs - performance.now(), 0);
    const round = this.#rounds.join(() => this.#ask());
    const confirmed = await Promise.race([round, late]).finally(() => clearTimeout(timer));
    if (confirmed >= replicas) return;
    const detail =
      `Only ${confirmed} of the ${replicas} replicas of Redis that REDIS_WAIT_REPLICAS asks for have confirmed within ` +
      `${waitMs} ms what the primary has; a failover could lose it.`;
    throw new CarryoverError('store_unavailable', { detail, applied });
  }

  /** @returns how many replicas have what was written before; 0 if that cannot be said */
  async #ask(): Promise<number> {
    const { replicas, waitMs } = this.#options;
    if (this.#node.stream !== this.#stream || this.#node.status !== 'ready') return 0;
    return setAndWait(this.#node, this.#key, replicas, waitMs).catch(() => 0);
  }
}

/** Rounds of one connection, one after the other: a round is for all that asked before it began. */
class Rounds {
  #running: Promise<unknown> | undefined;
  #next: Promise<number> | undefined;

  /** The result of the next round. */
  join(ask: () => Promise<number>): Promise<number> {
    return (this.#next ??= this.#run(ask));
  }

  async #run(ask: () => Promise<number>): Promise<number> {
    // Those who ask in this event-loop iteration take part.
    await (this.#running ?? new Promise(setImmediate));
    this.#running = this.#next;
    this.#next = undefined;
    const confirmed = await ask();
    this.#running = undefined;
    return confirmed;
  }
}

export class Confirmations {
  readonly #options: ConfirmationsOptions;
  readonly #client: RedisClient;
  readonly #keys: RedisKeys;
  readonly #rounds = new WeakMap<NodeClient['stream'], Rounds>();

  /** Connects as long as it is not closed. */
  constructor(address: RedisAddress, keys: RedisKeys, options: ConfirmationsOptions) {
    this.#options = options;
    this.#keys = keys;
    this.#client = createClient(address, options.waitMs + MARGIN_MS, options.waitMs + MARGIN_MS);
    // What fails is noticed by the connection of the store, and here by what is not confirmed.
    this.#client.on('error', () => {});
    void this.#client.connect().catch(() => {});
  }

  /** In one line. */
  get description(): string {
    const { replicas, waitMs } = this.#options;
    return `a change is answered when ${replicas} of its replicas have it, within ${waitMs} ms`;
  }

  /**
   * To be called before what is to be confirmed is sent.
   *
   * @param key whose node is asked
   * @throws store_unavailable, applied `no`, if there is no connection in time
   */
  async begin(key: string, deadlineMs: DeadlineMs): Promise<Confirmation> {
    while (performance.now() < deadlineMs) {
      const node = nodeOf(this.#client, key);
      if (node?.status === 'wait') await node.connect().catch(() => {});
      if (node?.status === 'ready') {
        const rounds = this.#rounds.get(node.stream) ?? new Rounds();
        this.#rounds.set(node.stream, rounds);
        return new Confirmation(node, this.#keys.beside(key), this.#options, rounds);
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_DELAY_MS));
    }
    const detail = 'There is no connection to Redis for REDIS_WAIT_REPLICAS: nothing was changed.';
    throw new CarryoverError('store_unavailable', { detail, applied: 'no' });
  }

  close(): void {
    this.#client.disconnect();
  }
}
