// A layer of a Keras file, as the description of its model has it.
import type { JsonObject } from './json.ts';

/** Where a layer stands in its model. */
export interface Place {
  readonly className: string;
  readonly name: string;
  /** How many layers of its class stand before it in the list of its model. */
  readonly nth: number;
}

/** A layer in the list of a model, with the connections that a functional model gives to it. */
export interface ListedLayer extends Place {
  readonly config: unknown;
  readonly inboundNodes: unknown;
}

export interface KerasLayer extends Place {
  readonly config: JsonObject;
  /** Of the models around it, the outermost first, and of itself. */
  readonly places: readonly Place[];
}
