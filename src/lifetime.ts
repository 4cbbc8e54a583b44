// The lifetime of a request: its client, its deadline, and whether its client is still connected. Everything that
// reads, waits, computes, prints or commits for a request is passed this one object, so all of it has one deadline
// and ends when the client disconnects.
//
// A timer runs only while something waits for the end (onEnd, race, signal): most requests are answered before
// anything has to wait, and cost one object and one reading of the clock.
//
// Not Fastify's `request.signal`: it has no deadline, creates an AbortController for each request that asks for it,
// and WebSocket messages, each with a lifetime of its own, have no request.
import { type Applied, CarryoverError, clientClosed } from './errors.ts';
import { RequestRecord } from './request-record.ts';
import type { Tenant } from './tenant.ts';
import type { Usage } from './usage.ts';

export class Lifetime {
  /**
   * Whose work it is in fair queueing (scheduler/fair-queue.ts): all requests of one TCP connection are one client's.
   * It is the socket, which is only compared by identity.
   */
  readonly client: object;
  /** Whose sessions and models the request can reach; set as soon as its key or token is known. */
  tenant: Tenant;
  /** What its tenant uses and may use; undefined if that is not counted. */
  usage: Usage | undefined;
  /** What is measured and known of the request. */
  readonly record = new RequestRecord();
  readonly #end: LifetimeEnd;
  #prepaidFlops = 0;

  /** @param msMax from now until its deadline */
  constructor(client: object, msMax: number, tenant?: Tenant, end = new LifetimeEnd(msMax)) {
    this.client = client;
    this.tenant = tenant;
    this.#end = end;
  }

  /** Whose share of the workers the client has a part of, in fair queueing: that of its tenant, or one of its own. */
  get group(): object {
    return this.usage?.group ?? this.client;
  }

  /** The lifetime of one of several calls in a request: it is this one with a record of its own, and to be closed by nobody. */
  share(): Lifetime {
    const shared = new Lifetime(this.client, this.msMax, this.tenant, this.#end);
    shared.usage = this.usage;
    return shared;
  }

  /**
   * Charges a computation to the tenant before it begins, less what was paid for it.
   *
   * @throws as Usage.chargeFlops
   */
  chargeFlops(flops: number): Promise<void> | undefined {
    const owed = flops - this.#prepaidFlops;
    this.#prepaidFlops = 0;
    return owed > 0 ? this.usage?.chargeFlops(owed) : undefined;
  }

  /** To be called when an attempt was charged that may come to nothing: the next one is charged so much less. */
  prepay(flops: number): void {
    this.#prepaidFlops = flops;
  }

  /** The deadline, by performance.now(). */
  get endsAtMs(): number {
    return this.#end.atMs;
  }

  /** The time from its beginning to its deadline, in ms. */
  get msMax(): number {
    return this.#end.msMax;
  }

  /** Until the deadline, in ms; 0 if isOver. */
  remainingMs(): number {
    return this.isOver ? 0 : Math.max(0, this.#end.atMs - performance.now());
  }

  get isOver(): boolean {
    return this.#end.isOver;
  }

  /** @throws client_closed · deadline_exceeded */
  throwIfOver(): void {
    if (this.isOver) throw this.error();
  }

  /** The error for work that still waits when isOver: client_closed or deadline_exceeded. */
  error(applied?: Applied): CarryoverError {
    if (this.#end.isClosed) return clientClosed(applied);
    return new CarryoverError('deadline_exceeded', {
      detail: `The request was not answered within ${this.msMax} ms (JOB_DEADLINE_MS).`,
      applied,
    });
  }

  /** Sets the deadline to msMax from now, as between two writes of a stream. After close() it stays over. */
  renew(): void {
    this.#end.renew();
  }

  /** To be called when the connection is closed or the response is complete: ends all that waits for the request. */
  close(): void {
    this.#end.close();
  }

  /** As close(). */
  [Symbol.dispose](): void {
    this.close();
  }

  /**
   * Calls `listener` once, when the lifetime is over, or now if it is over already.
   *
   * @returns a function that removes the listener
   */
  onEnd(listener: () => void): () => void {
    return this.#end.add(listener);
  }

  /** Aborts with client_closed or deadline_exceeded. */
  get signal(): AbortSignal {
    if (!this.#end.controller) {
      const controller = new AbortController();
      this.#end.controller = controller;
      this.onEnd(() => controller.abort(this.error()));
    }
    return this.#end.controller.signal;
  }

  /**
   * Settles as `promise` does, if that settles before the lifetime is over.
   *
   * @param applied for the error: whether the call was applied to its session
   * @throws client_closed · deadline_exceeded
   */
  race<Value>(promise: Promise<Value>, applied?: Applied): Promise<Value> {
    return new Promise((resolve, reject) => {
      const removeListener = this.onEnd(() => reject(this.error(applied)));
      const settle = (value: Value) => {
        removeListener();
        resolve(value);
      };
      const fail = (error: unknown) => {
        removeListener();
        reject(error);
      };
      promise.then(settle, fail);
    });
  }
}

/** When a request is over, and what waits for that. The calls of a request that has several share it. */
class LifetimeEnd {
  readonly msMax: number;
  /** The deadline, by performance.now(). */
  atMs: number;
  isClosed = false;
  controller: AbortController | undefined;
  #hasExpired = false;
  /** Undefined until something waits. */
  #listeners: Set<() => void> | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(msMax: number) {
    this.msMax = msMax;
    this.atMs = performance.now() + msMax;
  }

  get isOver(): boolean {
    return this.isClosed || this.#hasExpired || performance.now() >= this.atMs;
  }

  renew(): void {
    this.atMs = performance.now() + this.msMax;
    this.#hasExpired = false;
    if (this.#timer) this.#arm();
  }

  close(): void {
    this.isClosed = true;
    this.#notify();
  }

  add(listener: () => void): () => void {
    if (this.isOver) {
      listener();
      return () => {};
    }
    const listeners = (this.#listeners ??= new Set());
    listeners.add(listener);
    if (!this.#timer) this.#arm();
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#disarm();
    };
  }

  #arm(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#hasExpired = true;
      this.#notify();
    }, this.atMs - performance.now());
  }

  #disarm(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #notify(): void {
    this.#disarm();
    if (!this.#listeners) return;
    const listeners = [...this.#listeners];
    this.#listeners.clear();
    for (const listener of listeners) listener();
  }
}
