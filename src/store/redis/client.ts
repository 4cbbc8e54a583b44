// The Redis client, ioredis 6, configured to send every command once at most: by default it sends a command
// again when the connection breaks before the reply, and Redis then executes it twice. Sending again is
// left to connection.ts, which knows what may be repeated.
import { Cluster, type ClusterNode, Command, Redis, type RedisOptions } from 'ioredis';
import type { RedisAddress } from '../../settings/redis-url.ts';
import { isErrorReply } from './replies.ts';

export type RedisClient = Redis | Cluster;
/** The client of one node. */
export type NodeClient = Redis;

/** An argument of a command; bytes are sent as they are. */
export type Argument = string | Buffer;

/** The same bytes as an argument; no copy is made. */
export function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export interface RedisCommand {
  readonly name: string;
  readonly args: readonly Argument[];
}

/** The delays between attempts to connect are 50 ms, 100 ms, … up to this. */
export const RECONNECT_DELAY_MS_MAX = 500;
const CONNECT_TIMEOUT_MS = 1_000;
/** The pause before a command is sent again, and before a server that did not answer is probed again. */
export const RETRY_DELAY_MS = 50;

/**
 * Makes a client that connects when `connect()` is called, and reconnects by itself from then on.
 *
 * @param timeoutMs of a request with all its attempts
 * @param attemptMs of one attempt: a connection on which no byte arrives for this time while a reply is
 *   outstanding is closed
 */
export function createClient(address: RedisAddress, timeoutMs: number, attemptMs: number): RedisClient {
  const { nodes, isCluster, username, password, db, tls } = address;
  const retryStrategy = (times: number) => Math.min(25 * 2 ** times, RECONNECT_DELAY_MS_MAX);
  const options = {
    lazyConnect: true,
    connectionName: 'carryover',
    disableClientInfo: true,
    protocol: 2,
    db,
    ...(username !== undefined && { username }),
    ...(password !== undefined && { password }),
    ...(tls && { tls }),
    // These four keep ioredis from sending a command twice, and from holding it back.
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    enableOfflineQueue: false,
    commandTimeout: attemptMs,
    socketTimeout: attemptMs,
    connectTimeout: Math.min(CONNECT_TIMEOUT_MS, timeoutMs),
    disconnectTimeout: RETRY_DELAY_MS,
    maxLoadingRetryTime: RECONNECT_DELAY_MS_MAX,
    retryStrategy,
    // After a failover this server may be a replica: a new connection finds the primary.
    reconnectOnError: (error: Error) => error.message.includes('READONLY'),
  } as const satisfies RedisOptions;
  if (!isCluster) return new Redis({ ...options, ...nodes[0]! });
  const { db: _, retryStrategy: __, ...redisOptions } = options;
  return new Cluster(nodes as ClusterNode[], {
    lazyConnect: true,
    redisOptions,
    enableOfflineQueue: false,
    clusterRetryStrategy: retryStrategy,
    // With a delay above 0 a command whose connection broke would be sent again, to any node.
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    slotsRefreshTimeout: attemptMs,
    slotsRefreshInterval: 10_000,
    // TLS certificates are made out to the names, which are therefore not resolved before.
    dnsLookup: (name, done) => done(null, name),
  });
}

/**
 * What has come of a command that was sent once: a reply; an error reply of the server; none of both, with the
 * command either written to a socket (`lost`: it may have been executed) or not (`notSent`).
 */
export type SendResult =
  | { readonly kind: 'reply'; readonly reply: unknown }
  | { readonly kind: 'errorReply'; readonly error: Error }
  | { readonly kind: 'lost' | 'notSent' };

/**
 * Sends a command, once. All commands of one event-loop iteration leave in one write per node. Never rejects.
 *
 * @param timeoutMs in which it resolves, with `lost` or `notSent` if there is no reply by then
 */
export async function send(
  client: RedisClient,
  { name, args }: RedisCommand,
  timeoutMs: number,
): Promise<SendResult> {
  corkUntilNextIteration(client);
  const command = new Command(name, [...args], { replyEncoding: null });
  command.setTimeout(timeoutMs);
  try {
    return { kind: 'reply', reply: await client.sendCommand(command) };
  } catch (error) {
    if (isErrorReply(error)) return { kind: 'errorReply', error };
    // ioredis marks a command as traced when it writes it to a socket, and at no other time. The error does not
    // distinguish the two: `Connection is closed.` occurs in both. test/store/redis/client.test.ts fails if
    // a version of ioredis does that differently.
    return { kind: command.isTraced ? 'lost' : 'notSent' };
  }
}

const corked = new WeakSet<RedisClient>();

/**
 * Collects what is written to the sockets of a client in this event-loop iteration. With 16 sessions that are
 * changed at once this takes 18 µs of CPU time per change instead of 26 µs. The auto-pipelining of ioredis does
 * not fit: a cluster sends a pipeline of which a command failed again, as a whole.
 */
function corkUntilNextIteration(client: RedisClient): void {
  if (corked.has(client)) return;
  corked.add(client);
  const nodes = client instanceof Cluster ? client.nodes() : [client];
  // A node that is not connected yet has no stream.
  const sockets = nodes.flatMap(({ stream }) => stream ?? []);
  for (const socket of sockets) socket.cork();
  setImmediate(() => {
    corked.delete(client);
    for (const socket of sockets) socket.uncork();
  });
}

/**
 * The nodes that requests go to, by `host:port`: the server, or the primaries to which the slots of a cluster
 * are assigned, in the order of their slots. Undefined is one of these to which there is no connection.
 */
export function primariesOf(client: RedisClient, address: RedisAddress): Map<string, NodeClient | undefined> {
  const { host, port } = address.nodes[0]!;
  if (!(client instanceof Cluster)) return new Map([[`${host}:${port}`, client]]);
  const connected = client.nodes('master');
  const keys = new Set(client.slots.flatMap((nodes) => nodes.slice(0, 1)));
  return new Map(
    [...keys].map((key) => [
      key,
      connected.find(({ options }) => `${options.host}:${options.port}` === key),
    ]),
  );
}

/** The node of a cluster that has a key, or the server; undefined if it is not known at the moment. */
export function nodeOf(client: RedisClient, key: string): NodeClient | undefined {
  if (!(client instanceof Cluster)) return client;
  const name = client.slots[new Command('get', [key]).getSlot()]?.[0];
  return client.nodes('master').find(({ options }) => `${options.host}:${options.port}` === name);
}

/**
 * Sets a key, which Redis erases again, and WAITs, both in one event-loop iteration and so on one connection.
 *
 * @returns how many replicas have that, at least `replicas` unless the time is over
 * @throws an error of ioredis
 */
export async function setAndWait(node: NodeClient, key: string, replicas: number, waitMs: number): Promise<number> {
  const [, confirmed] = await Promise.all([
    node.sendCommand(new Command('set', [key, '', 'PX', '1000'])),
    node.sendCommand(new Command('wait', [String(replicas), String(waitMs)])),
  ]);
  return Number(confirmed);
}
