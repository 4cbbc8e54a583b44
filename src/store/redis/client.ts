// The client of Redis, ioredis, told to send nothing twice and to hold nothing back. By default it sends
// a request again when the connection breaks before its answer, and then Redis runs it twice.
import { Cluster, type ClusterNode, Command, Redis, type RedisOptions } from 'ioredis';
import type { RedisAddress } from './address.ts';

/** Of a request; bytes go as they are. */
export type Argument = string | Buffer;

/** A command of Redis that the store asks for. */
export interface Request {
  readonly name: string;
  readonly args: readonly Argument[];
  /** Whether it changes anything: then a lost answer leaves open whether it has. */
  readonly changes: boolean;
}

/** After 25 ms, 50 ms, … up to this a connection is tried again. */
export const RECONNECT_DELAY_MS_MAX = 500;
const CONNECT_TIMEOUT_MS = 1_000;
/** A server that says "not now" is asked again after this. */
export const PAUSE_MS = 50;

/**
 * Not connected yet.
 *
 * @param timeoutMs of a request, all attempts together
 * @param attemptMs of one attempt
 */
export function createClient(
  address: RedisAddress,
  timeoutMs: number,
  attemptMs: number,
): Redis | Cluster {
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
    // Four options that keep ioredis from sending anything twice or holding it back.
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    enableOfflineQueue: false,
    commandTimeout: attemptMs,
    // A connection that brings nothing for so long while something is asked is dead: get another.
    socketTimeout: attemptMs,
    connectTimeout: Math.min(CONNECT_TIMEOUT_MS, timeoutMs),
    disconnectTimeout: PAUSE_MS,
    maxLoadingRetryTime: RECONNECT_DELAY_MS_MAX,
    retryStrategy,
    // After a failover this may be a replica: look again who the primary is.
    reconnectOnError: (error: Error) => error.message.includes('READONLY'),
  } as const satisfies RedisOptions;
  if (!isCluster) return new Redis({ ...options, ...nodes[0]! });
  const { db: _, retryStrategy: __, ...redisOptions } = options;
  return new Cluster(nodes as ClusterNode[], {
    lazyConnect: true,
    redisOptions,
    enableOfflineQueue: false,
    clusterRetryStrategy: retryStrategy,
    // Otherwise what was under way on a connection that broke is sent again to any node.
    retryDelayOnFailover: 0,
    retryDelayOnClusterDown: 0,
    slotsRefreshTimeout: attemptMs,
    slotsRefreshInterval: 10_000,
    // Names go to TLS as they are, for the certificate is made out to them.
    dnsLookup: (name, done) => done(null, name),
  });
}

/** A command that knows whether it has left for the server. */
export class Attempt extends Command {
  isWritten = false;

  constructor({ name, args }: Request) {
    super(name, [...args], { replyEncoding: null });
  }

  override toWritable(socket: object): string | Buffer {
    this.isWritten = true;
    gather(socket as Corkable);
    return super.toWritable(socket);
  }
}

interface Corkable {
  readonly writableCorked: number;
  cork(): void;
  uncork(): void;
}

/** What is asked in one turn of the event loop goes out in one write. */
function gather(socket: Corkable): void {
  if (socket.writableCorked > 0) return;
  socket.cork();
  setImmediate(() => socket.uncork());
}
