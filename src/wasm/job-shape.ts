// What a job is made of: a packed model, and how much is computed with it.

/** Packed weights in linear memory. */
export interface PackedModel {
  readonly D: number;
  readonly H: number;
  readonly panelsPtr: number;
  readonly readout?: PackedReadout | undefined;
}

export interface PackedReadout {
  readonly O: number;
  readonly panelsPtr: number;
}

export interface JobShape {
  readonly T: number;
  readonly N: number;
  /** Steps of each row, 0 … T; all rows take T steps if absent. */
  readonly lengths?: readonly number[] | undefined;
  /** Whether all T states are kept (hs) or only the last. */
  readonly keepsStates: boolean;
  readonly trace: boolean;
  /** Where x and h are, if they are in linear memory already; they have to stay while the job runs. */
  readonly xPtr?: number | undefined;
  readonly hPtr?: number | undefined;
}
