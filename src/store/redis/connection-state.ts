// Whether requests can be sent to Redis, and waiting until they can.
//
//   connecting ──► usable ◄──► down
//        └───────────┴──────────┴──► closed
//
// The client may be connected in any of these states: `usable` means also that a probe was answered.

type Name = 'connecting' | 'usable' | 'down' | 'closed';

/** By performance.now(). */
export type DeadlineMs = number;

export class ConnectionState {
  #name: Name = 'connecting';
  /** When it ceased to be usable; at first when it was made. */
  #unusableSinceMs = performance.now();
  #problem = 'it has not been reached yet';
  /** Whether the server has refused the credentials or the database of STORE_URL. */
  #isRefused = false;
  readonly #waitMsMax: number;
  readonly #waiting = new Set<() => void>();

  /** @param waitMsMax how long requests wait for a connection that is down; after that they fail at once */
  constructor(waitMsMax: number) {
    this.#waitMsMax = waitMsMax;
  }

  get isUsable(): boolean {
    return this.#name === 'usable';
  }

  get isClosed(): boolean {
    return this.#name === 'closed';
  }

  get isRefused(): boolean {
    return this.#isRefused;
  }

  /** The last thing that went wrong, without secrets. */
  get problem(): string {
    return this.#problem;
  }

  /** A probe of the connection was answered. */
  setUsable(): void {
    if (this.#name === 'closed') return;
    this.#name = 'usable';
    this.#isRefused = false;
    this.#wake();
  }

  /** The connection is lost. Without effect unless it was usable. */
  setDown(): void {
    if (this.#name !== 'usable') return;
    this.#name = 'down';
    this.#unusableSinceMs = performance.now();
  }

  setClosed(): void {
    this.#name = 'closed';
    this.#wake();
  }

  /** Keeps what went wrong; the state stays. */
  setProblem(problem: string): void {
    this.#problem = problem;
  }

  /** The server refuses the credentials or the database: nobody waits any longer, until setUsable(). */
  setRefused(problem: string): void {
    this.#problem = problem;
    this.#isRefused = true;
    this.#wake();
  }

  /** Whether it became usable in time. */
  async untilUsable(deadlineMs: DeadlineMs): Promise<boolean> {
    for (;;) {
      const nowMs = performance.now();
      if (this.#name === 'closed' || nowMs >= deadlineMs) return false;
      if (this.#name === 'usable') return true;
      if (this.#isRefused || nowMs - this.#unusableSinceMs > this.#waitMsMax) return false;
      await this.#change(deadlineMs - nowMs);
    }
  }

  /** Resolves when the state has changed, or after the time. */
  #change(timeoutMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, timeoutMs);
    this.#waiting.add(resolve);
    return promise.finally(() => {
      clearTimeout(timer);
      this.#waiting.delete(resolve);
    });
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
  }
}
