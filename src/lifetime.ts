// A request from its first byte to its last: for whom it is, until when it is worth working on, and
// whether anybody still waits for it. Whoever reads, waits, computes, prints or commits for a request is
// given this one object, so all of that has one deadline and ends as soon as the client is gone.
//
// A timer runs only while something waits for the end (onEnd, race, signal): most requests are answered
// before anything has to wait, and cost one object and one look at the clock.
import { type Applied, CarryoverError, clientClosed } from './errors.ts';

export class Lifetime {
  /** Whose request it is, by identity: its connection. Shares of queue and workers are counted by it. */
  readonly client: object;
  readonly #msMax: number;
  #endsAtMs: number;
  #isClosed = false;
  #hasExpired = false;
  readonly #listeners = new Set<() => void>();
  #timer: NodeJS.Timeout | undefined;
  #controller: AbortController | undefined;

  /** @param msMax from now until its deadline */
  constructor(client: object, msMax: number) {
    this.client = client;
    this.#msMax = msMax;
    this.#endsAtMs = performance.now() + msMax;
  }

  /** The deadline, by performance.now(). */
  get endsAtMs(): number {
    return this.#endsAtMs;
  }

  /** The whole time it was given, in ms. */
  get msMax(): number {
    return this.#msMax;
  }

  /** 0 once it is over. */
  remainingMs(): number {
    return this.isOver ? 0 : Math.max(0, this.#endsAtMs - performance.now());
  }

  get isOver(): boolean {
    return this.#isClosed || this.#hasExpired || performance.now() >= this.#endsAtMs;
  }

  /** @throws client_closed · deadline_exceeded */
  throwIfOver(): void {
    if (this.isOver) throw this.error();
  }

  /** What somebody is told who waited longer than this: client_closed or deadline_exceeded. */
  error(applied?: Applied): CarryoverError {
    if (this.#isClosed) return clientClosed(applied);
    return new CarryoverError('deadline_exceeded', {
      detail: `The request was not answered within ${this.#msMax} ms (JOB_DEADLINE_MS).`,
      applied,
    });
  }

  /** Begins anew, as between two writes of a stream. Without effect once its client is gone. */
  renew(): void {
    this.#endsAtMs = performance.now() + this.#msMax;
    this.#hasExpired = false;
    if (this.#timer) this.#arm();
  }

  /** To be called when the connection is closed, or the answer has left: whatever still waits stops. */
  close(): void {
    this.#isClosed = true;
    this.#tell();
  }

  /**
   * Has `listener` called once when this is over; at once if it is.
   *
   * @returns what takes it back
   */
  onEnd(listener: () => void): () => void {
    if (this.isOver) {
      listener();
      return () => {};
    }
    this.#listeners.add(listener);
    if (!this.#timer) this.#arm();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#disarm();
    };
  }

  /** Aborts with client_closed or deadline_exceeded. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      const controller = new AbortController();
      this.#controller = controller;
      this.onEnd(() => controller.abort(this.error()));
    }
    return this.#controller.signal;
  }

  /**
   * What `promise` settles with, if it does before this is over.
   *
   * @param applied what a late answer means for a session
   * @throws client_closed · deadline_exceeded
   */
  async race<Value>(promise: Promise<Value>, applied?: Applied): Promise<Value> {
    const { promise: end, reject } = Promise.withResolvers<never>();
    const forget = this.onEnd(() => reject(this.error(applied)));
    try {
      return await Promise.race([promise, end]);
    } finally {
      forget();
    }
  }

  #arm(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#hasExpired = true;
      this.#tell();
    }, this.#endsAtMs - performance.now());
  }

  #disarm(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #tell(): void {
    this.#disarm();
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener();
  }
}
