// A name convention: how one framework names the tensors of a recurrent layer, and in which layout it
// stores them. checkpoint.ts lists all conventions; each has a file of its own.
import { quote } from '../../codec/safetensors/quote.ts';
import type { CarryoverError } from '../../errors.ts';
import type { Layer } from './layer.ts';
import { refusal } from './refusal.ts';
import type { UnclaimedTensors } from './unclaimed-tensors.ts';

export interface Convention {
  /** As errors call it. */
  readonly title: string;
  /** Matches names that no other convention has; `bias` alone would belong to two. */
  readonly pattern: RegExp;
  /** A name in the file → the name by which `read` claims it; several spellings may map to one name. */
  readonly canonicalName: (name: string) => string;
  /**
   * Claims the tensors of the layer and of its readout; none may be left.
   *
   * @param readout the path of the layer that computes y, if the client or the file states it
   * @throws unknown_tensors · shape_mismatch
   */
  readonly read: (tensors: UnclaimedTensors, readout: string | undefined) => Layer;
  /** The kind of layer, if its names are the same for every activation, e.g. `a torch RNN`. */
  readonly ambiguousLayer?: string;
  /** The names that it accepts, as a list in a sentence. */
  readonly accepts: string;
}

/** The part of the names before `suffix`. @throws unknown_tensors if it differs between them */
export function commonPrefix(names: readonly string[], suffix: RegExp): string {
  const prefix = names[0]!.replace(suffix, '');
  const other = names.find((name) => name.replace(suffix, '') !== prefix);
  if (other === undefined) return prefix;
  throw anotherLayer(other, `names that begin as ${quote(names[0]!)} does`);
}

/** unknown_tensors, for a tensor of a second layer or of the other direction. */
export function anotherLayer(name: string, expected: string): CarryoverError {
  return refusal(
    'unknown_tensors',
    [name],
    `Tensor ${quote(name)} is of another layer or direction, expected only ${expected}: ` +
      'one tanh RNN layer in one direction is supported.',
  );
}
