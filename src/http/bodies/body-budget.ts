// The bytes that clients have sent and that are not answered yet: bodies of requests and messages of WebSockets,
// all together. Only bytes that have arrived count, not a length that was announced: a peer that announces much
// and sends nothing holds nothing.
import { CarryoverError } from '../../errors.ts';
import type { TenantUsage } from '../../limits/tenant-usage.ts';

/** A body of up to this many bytes is small; a part of the budget is reserved for small ones. */
const SMALL_BYTES_MAX = 64 * 1024;
/** The part of the budget that only small bodies may use. */
const SMALL_PART = 1 / 16;
/** The part of the budget that one connection may use. */
const CONNECTION_PART = 1 / 4;
/** Added to the largest body, so that no part of the budget is too small for one: what counts besides its bytes. */
const OVERHEAD_BYTES_MAX = 4 * 1024;

/** A connection, with the bytes it holds of the budget. */
export interface BodySender {
  bodyBytes: number;
}

/** Bounds the bytes of all bodies, of large ones, and of those of one connection. */
export class BodyBudget {
  readonly #bytesMax: number;
  readonly #largeBytesMax: number;
  readonly #senderBytesMax: number;
  #bytes = 0;

  /**
   * @param bytesMax of all bodies
   * @param bodyBytesMax of one body
   */
  constructor(bytesMax: number, bodyBytesMax: number) {
    this.#bytesMax = bytesMax;
    this.#largeBytesMax = Math.max(bytesMax * (1 - SMALL_PART), bodyBytesMax + OVERHEAD_BYTES_MAX);
    this.#senderBytesMax = Math.max(bytesMax * CONNECTION_PART, bodyBytesMax + OVERHEAD_BYTES_MAX);
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** A claim for one body, empty at first. @param tenant undefined if it is not limited */
  open(sender: BodySender, tenant?: TenantUsage): BodyClaim {
    return new BodyClaim(this, sender, tenant);
  }

  /**
   * Takes bytes for a body; nothing is taken if it throws.
   *
   * @param heldBytes what the body holds already
   * @throws queue_full · rate_limited
   */
  take(sender: BodySender, heldBytes: number, bytes: number, tenant?: TenantUsage): void {
    tenant?.expectBodyBytes(bytes);
    const isSmall = heldBytes + bytes <= SMALL_BYTES_MAX;
    const bytesMax = isSmall ? this.#bytesMax : this.#largeBytesMax;
    if (this.#bytes + bytes > bytesMax) {
      throw new CarryoverError('queue_full', {
        detail:
          `Bodies of ${this.#bytes} bytes are being served; with this one they would exceed ` +
          `${this.#bytesMax} (BODIES_BYTES_MAX)${isSmall ? '' : ', of which a part is for small ones'}.`,
      });
    }
    if (sender.bodyBytes + bytes > this.#senderBytesMax) {
      throw new CarryoverError('queue_full', {
        detail:
          `This connection has bodies of ${sender.bodyBytes} bytes being served; with this one they ` +
          `would exceed its share of ${this.#senderBytesMax}. Wait for its answers.`,
      });
    }
    this.#bytes += bytes;
    sender.bodyBytes += bytes;
    if (tenant) tenant.counts.bodyBytes += bytes;
  }

  /** Gives bytes back. */
  giveBack(sender: BodySender, bytes: number, tenant?: TenantUsage): void {
    this.#bytes -= bytes;
    sender.bodyBytes -= bytes;
    if (tenant) tenant.counts.bodyBytes -= bytes;
  }
}

/** What one body holds of the budget. */
export class BodyClaim {
  readonly #budget: BodyBudget;
  readonly #sender: BodySender;
  readonly #tenant: TenantUsage | undefined;
  #bytes = 0;

  constructor(budget: BodyBudget, sender: BodySender, tenant: TenantUsage | undefined) {
    this.#budget = budget;
    this.#sender = sender;
    this.#tenant = tenant;
  }

  /** Takes what is missing up to `bytes`; nothing is taken if it throws. @throws queue_full · rate_limited */
  growTo(bytes: number): void {
    const more = bytes - this.#bytes;
    if (more <= 0) return;
    this.#budget.take(this.#sender, this.#bytes, more, this.#tenant);
    this.#bytes = bytes;
  }

  /** Gives all of it back; may be called twice. */
  release(): void {
    this.#budget.giveBack(this.#sender, this.#bytes, this.#tenant);
    this.#bytes = 0;
  }
}
