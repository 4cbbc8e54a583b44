// A recurrent layer as it is found in a checkpoint, and as it is after the conversion.
import type { SafeTensor } from '../../codec/safetensors/read.ts';
import type { RawTensor } from '../../tensor.ts';

export interface ImportedTensor {
  readonly shape: readonly number[];
  /** Row-major, every value finite. Of a tensor that is read in place, converted at each access. @throws out_of_range */
  readonly data: Float32Array;
  /** Of a tensor that is read in place: what another thread needs to convert it. @throws client_closed */
  raw?(): RawTensor;
}

export interface ImportedModel {
  /** (D, H) */
  readonly W_x: ImportedTensor;
  /** (H, H) */
  readonly W_h: ImportedTensor;
  /** (H,) */
  readonly b?: ImportedTensor;
  /** (H, O) */
  readonly W_y?: ImportedTensor;
  /** (O,); never without W_y. */
  readonly b_y?: ImportedTensor;
}

/** A tensor of the file that is part of the layer. */
export interface LayerTensor {
  /** As the file spells it. */
  readonly name: string;
  readonly tensor: SafeTensor;
  /** Its axes in the file, e.g. `HD`; an axis that must be 1 is called `1`. */
  readonly axes: string;
}

/** The tensors of a layer as they are in the file. */
export interface Layer {
  readonly W_x: LayerTensor;
  readonly W_h: LayerTensor;
  /** Biases, whose sum is b; empty for a layer without. */
  readonly b: readonly LayerTensor[];
  readonly W_y?: LayerTensor | undefined;
  readonly b_y?: LayerTensor | undefined;
  /** Whether the matrices in the file are the transposes of ours. */
  readonly isTransposed: boolean;
}

const ORIGIN_CHARACTERS_MAX = 200;

/** Which tensors of the file each of ours is made of, in words. */
export function originsOf({ W_x, W_h, b, W_y, b_y, isTransposed }: Layer): Record<string, string> {
  const matrix = ({ name }: LayerTensor) => `${truncated(name)}${isTransposed ? ' (transposed)' : ''}`;
  return {
    W_x: matrix(W_x),
    W_h: matrix(W_h),
    ...(b.length > 0 && { b: b.map(({ name }) => truncated(name)).join(' + ') }),
    ...(W_y && { W_y: matrix(W_y) }),
    ...(b_y && { b_y: truncated(b_y.name) }),
  };
}

function truncated(name: string): string {
  return name.length > ORIGIN_CHARACTERS_MAX ? `${name.slice(0, ORIGIN_CHARACTERS_MAX)}…` : name;
}
