// What the tenant of a request uses of what it may use. limits/ implements it; a request without it is not limited.

export interface Usage {
  /** Stands for the tenant in fair queueing (scheduler/fair-queue.ts): it is only compared by identity. */
  readonly group: object;

  /**
   * Charges a computation before it begins. No promise, unless another process must be asked.
   *
   * @throws rate_limited, and nothing is charged
   */
  chargeFlops(flops: number): Promise<void> | undefined;

  /** @param count of the models that the tenant has registered · @throws rate_limited if it may not register another one */
  expectModel(count: number): void;

  /** @param count of the names that the tenant has given · @throws rate_limited if it may not give another one */
  expectName(count: number): void;
}
