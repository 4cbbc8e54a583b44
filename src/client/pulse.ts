// Wakes those who wait for a change of something.

export class Pulse {
  #waiting = Promise.withResolvers<void>();

  /** Resolves at the next beat. */
  next(): Promise<void> {
    return this.#waiting.promise;
  }

  beat(): void {
    this.#waiting.resolve();
    this.#waiting = Promise.withResolvers<void>();
  }
}
