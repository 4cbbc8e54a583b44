// Opens the store that STORE_URL names. The modules of the other stores are not loaded.
import { MemoryStore } from './memory.ts';
import type { CommittedGroupListener, SessionStore } from './store.ts';

export interface StoreOptions {
  /** Of a call, until its promise is settled. */
  readonly timeoutMs: number;
  /** Calls that may wait for a SQLite store; more are refused. */
  readonly queueMax: number;
  /** Limit of all records of a memory store. */
  readonly memoryBytesMax: number;
  /** Limit of the file of a SQLite store. */
  readonly bytesMax: number;
  readonly redis: {
    /** Of all keys. */
    readonly prefix: string;
    /** Replicas that must have a change before it is answered. */
    readonly waitReplicas: number;
    /** How long they are waited for. */
    readonly waitMs: number;
  };
  /** Called when a part of the store has failed and is started again. */
  readonly onLost: (reason: unknown) => void;
  /** Called by a SQLite store; the others commit each change by itself. Undefined if nobody wants to know. */
  readonly onCommitted?: CommittedGroupListener | undefined;
}

const SQLITE = 'sqlite:';

/**
 * @param url `memory:`, `sqlite:<path>`, `redis://…` or `rediss://…`
 * @throws Error with one line if the store cannot be opened
 */
export async function openStore(url: string, options: StoreOptions): Promise<SessionStore> {
  const { timeoutMs, queueMax, memoryBytesMax, bytesMax, redis, onLost, onCommitted } = options;
  if (url === 'memory:') return new MemoryStore(memoryBytesMax);
  if (url.startsWith(SQLITE)) {
    const { openSqliteStore } = await import('./sqlite/sqlite.ts');
    return openSqliteStore(url.slice(SQLITE.length), { timeoutMs, queueMax, bytesMax, onLost, onCommitted });
  }
  const { openRedisStore } = await import('./redis/redis.ts');
  const { prefix, waitReplicas, waitMs } = redis;
  const confirmations = waitReplicas > 0 ? { replicas: waitReplicas, waitMs } : undefined;
  return openRedisStore(url, { timeoutMs, prefix, confirmations });
}
