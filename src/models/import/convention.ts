// A name convention: how one framework names the tensors of layers, and in which layout it stores them. checkpoint.ts
// lists all conventions; each has a file of its own.
import type { DescribedLayer, LayerType } from './description.ts';
import type { FoundLayer } from './layer.ts';
import type { UnclaimedTensors } from './unclaimed-tensors.ts';

export interface Convention {
  /** As errors call it. */
  readonly title: string;
  /** Matches canonical names that no other convention has; `bias` alone would belong to two. */
  readonly pattern: RegExp;
  /**
   * Claims the tensors of all layers by their names alone; none may be left. The layers are then an embedding, if
   * there is one, those of one recurrent module, and a linear head, if there is one.
   *
   * @param readout the path of the layer that computes y, if the client or the file states it
   * @throws unknown_tensors · layers_unconfirmed · shape_mismatch
   */
  readonly read: (tensors: UnclaimedTensors, readout: string | undefined) => FoundLayer[];
  /** What the tensors of a layer are called: the roles by which a description may name them. */
  readonly roles: Readonly<Record<LayerType, readonly string[]>>;
  /** The name, behind the layer's path, by which a layer is found, for errors: `.weight_ih_l0`. */
  readonly keyOf: (type: LayerType) => string;
  /** Whether the file has the tensors of a described layer under the names of this convention. */
  readonly has: (tensors: UnclaimedTensors, layer: DescribedLayer) => boolean;
  /**
   * Claims the tensors of a described layer, which `has` has found: of one layer, or of all those of its module.
   *
   * @throws unknown_tensors · layers_unconfirmed · activation_unconfirmed · invalid_request · shape_mismatch
   */
  readonly claim: (tensors: UnclaimedTensors, layer: DescribedLayer) => FoundLayer[];
  /** The names that it accepts, as a list in a sentence. */
  readonly accepts: string;
}
