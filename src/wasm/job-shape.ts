// What a job computes: how many steps of how many rows, and what of it is kept.

export interface JobShape {
  /** Steps, at least 1. */
  readonly T: number;
  /** Rows of the mini-batch. */
  readonly N: number;
  /** Steps of each row, 0 … T; if absent, all rows have T steps. */
  readonly lengths?: readonly number[] | undefined;
  /** Whether all T states are kept (hs) or only the last. */
  readonly keepsStates: boolean;
  /** Whether the intermediate values of every step are kept. */
  readonly trace: boolean;
  /** Address of x (T, N, D) if it is in linear memory already; it must stay there while the job runs. */
  readonly xPtr?: number | undefined;
  /** Address of h (N, H) of the first recurrent layer before the first step, under the same condition. */
  readonly hPtr?: number | undefined;
}
