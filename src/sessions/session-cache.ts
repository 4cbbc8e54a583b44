// Sessions as they were last committed, in memory: a step on a session that was changed lately need not
// read its store first. Those whose last change is longest ago go first.
import type { Revision } from '../store/store.ts';
import type { Session } from './session.ts';

export interface CachedSession {
  readonly session: Session;
  /** Of its record in the store. */
  readonly revision: Revision;
}

/** What an entry takes besides its states, about. */
const ENTRY_BYTES = 1_000;
const ANSWER_BYTES = 400;

export class SessionCache {
  readonly #bytesMax: number;
  /** Changed longest ago first: a Map keeps the order of insertion. */
  readonly #entries = new Map<string, CachedSession>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get(id: string): CachedSession | undefined {
    return this.#entries.get(id);
  }

  set(cached: CachedSession): void {
    const { id } = cached.session;
    this.delete(id);
    this.#entries.set(id, cached);
    this.#bytes += bytesOf(cached);
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#bytesMax) return;
      this.delete(oldest);
    }
  }

  delete(id: string): void {
    const entry = this.#entries.get(id);
    if (!entry) return;
    this.#entries.delete(id);
    this.#bytes -= bytesOf(entry);
  }
}

/** States may be shared by a session, its answers and its past; they are counted each time. */
function bytesOf({ session: { h, answers, past } }: CachedSession): number {
  const states = 1 + answers.length + past.length;
  return ENTRY_BYTES + answers.length * ANSWER_BYTES + states * h.byteLength;
}
