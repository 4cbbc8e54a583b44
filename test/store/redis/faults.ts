// What the tests of failures of Redis share: a store with a short timeout, and times that all of them hold.
import { onTestFinished } from 'vitest';
import { openRedisStore } from '../../../src/store/redis/redis.ts';
import type { RecordParts, SessionStore } from '../../../src/store/store.ts';

/** REDIS_LONG=true repeats failures more often and lets them last longer. */
export const IS_LONG = process.env.REDIS_LONG === 'true';
export const TIMEOUT_MS = 1_000;
/** In which every call is answered, whatever fails; on an idle machine a quarter of a second after its deadline. */
export const SETTLE_MS = TIMEOUT_MS + 3_000;
/** In which the store serves again after the failure is over, on a busy machine. */
export const RECOVERY_MS = 5_000;

/** Opens a store that is closed after the test. */
export async function open(url: string, timeoutMs = TIMEOUT_MS): Promise<SessionStore> {
  const store = await openRedisStore(url, { timeoutMs });
  onTestFinished(() => store.close());
  return store;
}

export const parts = (text: string): RecordParts => ({ head: Buffer.from(text), slots: new Map() });

/** Whether so much time has passed since it was made. */
export const overAfter = (ms: number) => {
  const endMs = performance.now() + ms;
  return () => performance.now() >= endMs;
};
