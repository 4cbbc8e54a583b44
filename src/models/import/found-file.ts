// What a file that describes its model says: the layers, in the order in which they are computed.
import type { FoundLayer } from './layer.ts';

export interface FoundFile {
  readonly layers: readonly FoundLayer[];
  /** What this service does otherwise than the file, in sentences. */
  readonly notes: readonly string[];
}
