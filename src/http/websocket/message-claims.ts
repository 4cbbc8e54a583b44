// The part of the budget of bodies (bodies/body-budget.ts) that the messages of one connection use. Bytes are
// counted as they arrive and released when their message has been answered.
//
// Bytes that arrive when the budget is exhausted are in memory and cannot be refused any more. They are excess
// bytes: nothing further is read until they can be claimed from the budget. The connection waits for that only
// while it has unanswered messages of its own, whose bytes will be released; it never waits for other connections.
// Else it fails with queue_full.
import type { TenantUsage } from '../../limits/tenant-usage.ts';
import type { BodyBudget, BodySender } from '../bodies/body-budget.ts';

/** The memory of a message besides its bytes, about; it limits the number of empty messages as well. */
const MESSAGE_OVERHEAD_BYTES = 512;

export class MessageClaims {
  readonly #budget: BodyBudget;
  readonly #sender: BodySender;
  readonly #tenant: TenantUsage | undefined;
  /** Claimed from the budget and not released. */
  #claimedBytes = 0;
  /** Arrived, and not yet claimed from the budget. */
  #excessBytes = 0;
  /** Of the message that is arriving, claimed or in excess. */
  #arrivingBytes = 0;
  /** Of complete messages that the WebSocket has not reported yet, oldest first. */
  readonly #completeBytes: number[] = [];
  #isClosed = false;

  /** @param tenant undefined if it is not limited */
  constructor(budget: BodyBudget, sender: BodySender, tenant: TenantUsage | undefined) {
    this.#budget = budget;
    this.#sender = sender;
    this.#tenant = tenant;
  }

  /** Whether bytes have arrived that the budget has no capacity for. */
  get isOverBudget(): boolean {
    return this.#excessBytes > 0;
  }

  /** Counts bytes of the message that is arriving. @throws queue_full if waiting for capacity is in vain */
  add(bytes: number): void {
    const more = this.#arrivingBytes === 0 ? bytes + MESSAGE_OVERHEAD_BYTES : bytes;
    const isWaiting = this.isOverBudget;
    this.#arrivingBytes += more;
    this.#excessBytes += more;
    // One attempt for each release: an error for every frame of a full chunk would cost 10 µs each.
    if (!isWaiting) this.#claimExcess();
  }

  /** The message that was arriving is complete. */
  complete(): void {
    this.#completeBytes.push(this.#arrivingBytes);
    this.#arrivingBytes = 0;
  }

  /** What the oldest complete message counts for; it is now the caller's to release. */
  takeComplete(): number {
    return this.#completeBytes.shift() ?? 0;
  }

  /**
   * Of a message that has been answered. Without effect after close().
   *
   * @throws queue_full if it is still over the budget and no other message of the connection will be released
   */
  release(bytes: number): void {
    if (this.#isClosed) return;
    const excess = Math.min(bytes, this.#excessBytes);
    this.#excessBytes -= excess;
    this.#giveBack(bytes - excess);
    this.#claimExcess();
  }

  /** Releases everything; to be called when the connection is closed. */
  close(): void {
    this.#isClosed = true;
    this.#excessBytes = 0;
    this.#giveBack(this.#claimedBytes);
  }

  #claimExcess(): void {
    if (this.#isClosed || this.#excessBytes === 0) return;
    try {
      this.#budget.take(this.#sender, this.#claimedBytes, this.#excessBytes, this.#tenant);
    } catch (error) {
      const willRelease = this.#claimedBytes + this.#excessBytes > this.#arrivingBytes;
      if (willRelease) return;
      throw error;
    }
    this.#claimedBytes += this.#excessBytes;
    this.#excessBytes = 0;
  }

  #giveBack(bytes: number): void {
    this.#claimedBytes -= bytes;
    this.#budget.giveBack(this.#sender, bytes, this.#tenant);
  }
}
