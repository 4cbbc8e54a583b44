// The cached session must be the one that the store holds, in whatever order calls of the store are answered:
// the test delays one of them.
import { beforeEach, describe, expect, test } from 'vitest';
import type { Session } from '../../src/sessions/session.ts';
import type { Sessions } from '../../src/sessions/sessions.ts';
import { MemoryStore } from '../../src/store/memory.ts';
import type { StoredRecord } from '../../src/store/store.ts';
import { SPEC, callOf, keyedCall, sessionsOn, step as stepOf } from './setup.ts';

/** A read returns the record as it is when the read begins; one read is delayed. */
class LateStore extends MemoryStore {
  #readsBefore = Infinity;
  #gate: Promise<void> | undefined;

  /** Delays the read that follows `readsBefore` others. @returns ends the delay */
  holdRead(readsBefore: number): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#readsBefore = readsBefore;
    this.#gate = promise;
    return resolve;
  }

  override async read(id: string): Promise<StoredRecord | undefined> {
    const record = await super.read(id);
    if (this.#readsBefore-- === 0) await this.#gate;
    return record;
  }
}

const replyOf = ({ id }: Session) => ({ status: 201, headers: {}, body: id });

describe('a fork that is asked for again', () => {
  let store: LateStore;
  let sessions: Sessions;
  beforeEach(async () => {
    store = new LateStore(1e9);
    sessions = await sessionsOn(store);
  });

  const step = async (id: string) => (await stepOf(sessions, id, callOf(), ({ state }) => state)).value.t;

  test('a fork that is stepped meanwhile keeps that step', async () => {
    const { id } = await sessions.create(SPEC);
    // The client disconnects after the fork is stored and before its key is.
    const interrupted = keyedCall('f');
    const leave = (session: Session) => {
      interrupted.lifetime.close();
      return replyOf(session);
    };
    await expect(sessions.fork(id, interrupted, leave)).rejects.toThrow();
    const fork = (await sessions.list(undefined, 10)).sessions.find((one) => one.id !== id)!.id;
    await step(fork);

    // This call looks the fork up, cannot create it, and reads it: the second read is delayed.
    const endDelay = store.holdRead(1);
    const again = sessions.fork(id, keyedCall('f'), replyOf);
    await new Promise(setImmediate);
    await step(fork);
    endDelay();
    expect((await again).value.body).toBe(fork);
    expect((await sessions.read(fork)).t).toBe(2);
    expect(await step(fork)).toBe(3);
  });
});
