// STORE_URL → a store.
import { MemoryStore } from './memory.ts';
import type { SessionStore } from './store.ts';

export interface StoreOptions {
  /** From a call until its promise is settled. */
  readonly timeoutMs: number;
  /** Of all records in a memory store. */
  readonly memoryBytesMax: number;
}

/** @throws Error, in one line, if it cannot be opened */
export async function openStore(url: string, options: StoreOptions): Promise<SessionStore> {
  const { timeoutMs, memoryBytesMax } = options;
  if (url === 'memory:') return new MemoryStore(memoryBytesMax);
  throw new Error(`STORE_URL ${url} is not known (${timeoutMs}).`);
}
