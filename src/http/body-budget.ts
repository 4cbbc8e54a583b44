// Bytes that clients have sent and that are not answered yet: bodies of requests and frames of
// WebSockets, all together.
import { CarryoverError } from '../errors.ts';

export class BodyBudget {
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** To be released with the same number. @throws queue_full */
  claim(bytes: number): void {
    if (this.#bytes + bytes > this.#bytesMax) {
      throw new CarryoverError('queue_full', {
        detail:
          `Bodies of ${this.#bytes} bytes are being served; with this one they would exceed ` +
          `${this.#bytesMax} (BODIES_BYTES_MAX).`,
      });
    }
    this.#bytes += bytes;
  }

  release(bytes: number): void {
    this.#bytes -= bytes;
  }
}
