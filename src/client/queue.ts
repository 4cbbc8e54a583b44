// Calls that are made one after another.
import { type Signals, linkedTo } from './abort.ts';

export class CallQueue {
  #last: Promise<void> = Promise.resolve();

  /** Resolves when all that came before are over. @returns to be called when this one is @throws the reason of a signal */
  async enter(signals: Signals): Promise<() => void> {
    const before = this.#last;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#last = before.then(() => promise);
    try {
      await untilAborted(before, signals);
    } catch (error) {
      resolve();
      throw error;
    }
    return resolve;
  }

  async run<Value>(signals: Signals, work: () => Promise<Value>): Promise<Value> {
    const leave = await this.enter(signals);
    try {
      return await work();
    } finally {
      leave();
    }
  }
}

/** @throws the reason of a signal, if it aborts before */
async function untilAborted(promise: Promise<void>, signals: Signals): Promise<void> {
  const { controller, release } = linkedTo(signals);
  const { signal } = controller;
  const aborted = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => aborted.resolve(), { once: true });
  if (!signal.aborted) await Promise.race([promise, aborted.promise]);
  release();
  signal.throwIfAborted();
}
