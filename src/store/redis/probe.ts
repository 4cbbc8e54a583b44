// Asks every node that holds sessions what it is (INFO), how durable its answers are (CONFIG) and what time
// it is (TIME): on each new connection, and every second from then on. This is apart from the requests of
// the store, and needs no right but to the keys of the store: what may not be asked stays unknown.
import type { RedisAddress } from '../../settings/redis-url.ts';
import { type NodeClient, type RedisClient, primariesOf } from './client.ts';
import { ServerClock } from './clock.ts';
import { isErrorReply } from './replies.ts';
import { type ServerInfo, parseServerInfo } from './server-info.ts';

/** A node that has not answered for this time is reported: twice the interval of the probes, about. */
const SILENCE_MS_MAX = 1_900;

/** What a probe has found; `refused` and `replica` with the reason, for people. */
export type ProbeResult =
  | { readonly kind: 'answered' | 'silent' }
  | { readonly kind: 'refused' | 'replica'; readonly reason: string };

interface Node {
  /** Absent while there is no connection to a node of a cluster. */
  redis: NodeClient | undefined;
  info: ServerInfo | undefined;
  answeredAtMs: number;
}

export class ServerProbe {
  /** The clock of the server; of a cluster that of the first primary in the order of the slots. */
  readonly clock = new ServerClock();
  readonly #client: RedisClient;
  readonly #address: RedisAddress;
  #nodes = new Map<string, Node>();

  constructor(client: RedisClient, address: RedisAddress) {
    this.#client = client;
    this.#address = address;
  }

  /** What the nodes have said of themselves when they were last probed; those that never answered lack. */
  get infos(): ServerInfo[] {
    return [...this.#nodes.values()].flatMap(({ info }) => info ?? []);
  }

  /** `host:port` of a node that has not answered for some time, if there is one. */
  get silentNode(): string | undefined {
    const nowMs = performance.now();
    const silent = [...this.#nodes].find(([, node]) => nowMs - node.answeredAtMs > SILENCE_MS_MAX);
    return silent?.[0];
  }

  /** Probes all nodes. `answered` if one can be used; else why none can. Never rejects. */
  async run(): Promise<ProbeResult> {
    this.#nodes = this.#currentNodes();
    const nodes = [...this.#nodes.values()];
    const results = await Promise.all(nodes.map((node) => this.#probeNode(node, node === nodes[0])));
    return (
      results.find(({ kind }) => kind === 'answered') ??
      results.find(({ kind }) => kind !== 'silent') ?? { kind: 'silent' }
    );
  }

  #currentNodes(): Map<string, Node> {
    const nowMs = performance.now();
    const nodes = new Map<string, Node>();
    for (const [key, redis] of primariesOf(this.#client, this.#address)) {
      // A probe that still waits for the node updates the same object.
      const node = this.#nodes.get(key) ?? { redis, info: undefined, answeredAtMs: nowMs };
      node.redis = redis;
      nodes.set(key, node);
    }
    return nodes;
  }

  async #probeNode(node: Node, hasClock: boolean): Promise<ProbeResult> {
    const { redis } = node;
    if (redis?.status === 'wait') await redis.connect().catch(() => {});
    if (redis?.status !== 'ready') return { kind: 'silent' };
    try {
      const refusal = await this.#selectDatabase(redis);
      if (refusal !== undefined) return { kind: 'refused', reason: refusal };
      const sentAtMs = performance.now();
      const [time, info = '', config] = await Promise.all([
        hasClock ? redis.time().catch(ifPermitted) : undefined,
        redis.info().catch(ifPermitted),
        redis.config('GET', 'appendfsync').catch(ifPermitted),
      ]);
      if (time) this.clock.observe(millisecondsOf(time), sentAtMs, performance.now());
      node.info = parseServerInfo(info, config?.[1]);
      node.answeredAtMs = performance.now();
    } catch {
      return { kind: 'silent' };
    }
    if (!node.info.isReplica || this.#address.isCluster) return { kind: 'answered' };
    return { kind: 'replica', reason: 'the server is a replica, not the primary' };
  }

  /**
   * Selects the database of STORE_URL, as ioredis goes on with database 0 when a server refuses another.
   *
   * @returns why there is no such database for this user
   * @throws an error of ioredis if the server does not answer
   */
  async #selectDatabase(redis: NodeClient): Promise<string | undefined> {
    const { db } = this.#address;
    if (db === 0) return undefined;
    try {
      await redis.select(db);
      return undefined;
    } catch (error) {
      if (!isErrorReply(error)) throw error;
      return `it has no database ${db} for us, named in STORE_URL (${error.message})`;
    }
  }
}

/** @returns undefined if the server does not permit the command @throws all other errors */
function ifPermitted(error: unknown): undefined {
  if (!isErrorReply(error)) throw error;
}

/** @param reply to TIME: seconds and microseconds */
function millisecondsOf([seconds, microseconds]: readonly number[]): number {
  return Number(seconds) * 1_000 + Number(microseconds) / 1_000;
}
