// An array of --check, whatever it was read from.

export interface CheckArray {
  /** Row-major, last axis innermost. */
  readonly shape: readonly number[];
  readonly data: Float32Array | Float64Array;
  /** Whether its numbers have 11 bits only, and need a tolerance that is larger. */
  readonly isHalf: boolean;
}

export type CheckArrays = ReadonlyMap<string, CheckArray>;
