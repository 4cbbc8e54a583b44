// STORE_URL → a store. Only the one that is asked for is loaded.
import { MemoryStore } from './memory.ts';
import type { SessionStore } from './store.ts';

export interface StoreOptions {
  /** From a call until its promise is settled. */
  readonly timeoutMs: number;
  /** Calls that wait for the store. */
  readonly queueMax: number;
  /** Of all records in a memory store. */
  readonly memoryBytesMax: number;
  /** Of the file of a SQLite store. */
  readonly bytesMax: number;
  /** Told when a part of the store failed and is started again. */
  readonly onLost: (reason: unknown) => void;
}

const SQLITE = 'sqlite:';

/** @throws Error, in one line, if it cannot be opened */
export async function openStore(url: string, options: StoreOptions): Promise<SessionStore> {
  const { timeoutMs, queueMax, memoryBytesMax, bytesMax, onLost } = options;
  if (url === 'memory:') return new MemoryStore(memoryBytesMax);
  if (url.startsWith(SQLITE)) {
    const { openSqliteStore } = await import('./sqlite/sqlite.ts');
    return openSqliteStore(url.slice(SQLITE.length), { timeoutMs, queueMax, bytesMax, onLost });
  }
  const { openRedisStore } = await import('./redis/redis.ts');
  return openRedisStore(url, { timeoutMs });
}
