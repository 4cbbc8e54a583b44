// The sessions as they were committed last, in memory, so that a step on a recently changed session need
// not read the store. Sessions are evicted in the order of their last change.
import { LRUCache } from 'lru-cache';
import type { Revision } from '../store/store.ts';
import type { Session } from './session.ts';

export interface CachedSession {
  readonly session: Session;
  /** The revision of its record in the store. */
  readonly revision: Revision;
}

/** Bytes of an entry besides its states, about. */
const ENTRY_BYTES = 1_000;
/** Bytes of a kept answer besides its state, about. */
const ANSWER_BYTES = 400;

export class SessionCache {
  readonly #entries: LRUCache<string, CachedSession>;

  /** @param bytesMax of all entries, about; an entry that is larger is not cached, and with 0 none is */
  constructor(bytesMax: number) {
    this.#entries = new LRUCache({ maxSize: Math.max(1, bytesMax), sizeCalculation: bytesOf });
  }

  get(id: string): CachedSession | undefined {
    return this.#entries.peek(id);
  }

  set(cached: CachedSession): void {
    this.#entries.set(cached.session.id, cached);
  }

  delete(id: string): void {
    this.#entries.delete(id);
  }
}

/** States may be shared by a session, its kept answers and its past; they are counted each time. */
function bytesOf({ session: { state, answers, past } }: CachedSession): number {
  const states = 1 + answers.length + past.length;
  return ENTRY_BYTES + answers.length * ANSWER_BYTES + states * state.byteLength;
}
