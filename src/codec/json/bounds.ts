// How much of a JSON document is checked before it is refused as a whole.

/** Bounds of what a document has outside its tensors. The first number of a tensor counts, white space does not. */
export interface JsonBounds {
  /** Arrays and objects within each other. */
  readonly depthMax: number;
  /** Arrays and objects. */
  readonly containersMax: number;
  readonly keysMax: number;
  /** Tensors themselves. */
  readonly tensorsMax: number;
  readonly bytesMax: number;
}

export const UNBOUNDED: JsonBounds = {
  depthMax: Infinity,
  containersMax: Infinity,
  keysMax: Infinity,
  tensorsMax: Infinity,
  bytesMax: Infinity,
};
