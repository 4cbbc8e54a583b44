// A value that is dear to read: it is read again only when it is older than some seconds.
export class Rarely {
  readonly #read: () => Promise<number>;
  readonly #ageMsMax: number;
  #value: number | undefined;
  #readAtMs = -Infinity;

  constructor(ageMsMax: number, read: () => Promise<number>) {
    this.#ageMsMax = ageMsMax;
    this.#read = read;
  }

  /** Undefined if it cannot be read now. */
  async value(): Promise<number | undefined> {
    if (performance.now() - this.#readAtMs < this.#ageMsMax) return this.#value;
    this.#readAtMs = performance.now();
    this.#value = await this.#read().catch(() => undefined);
    return this.#value;
  }
}
