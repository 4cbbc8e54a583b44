// The layers of a checkpoint as they are found in it: which tensor of the file has which meaning, and in which layout.
import type { SafeTensor } from '../../codec/safetensors/read.ts';
import {
  type CellType,
  type DenseActivation,
  type Direction,
  GATES,
  type Reset,
  type RnnActivation,
} from '../../layers.ts';

/** A tensor of the file that has a meaning. */
export interface FileTensor {
  /** As the file spells it. */
  readonly name: string;
  readonly tensor: SafeTensor;
  /** Its axes in the file, e.g. `4H`, `D`; an axis whose size is fixed is called by its size. */
  readonly axes: readonly string[];
}

/** How the matrices of a layer stand in the file. */
export interface Layout {
  /** Whether they are the transposes of ours. */
  readonly isTransposed: boolean;
  /** The order of the gates in the file, by our names; absent: that of GATES. */
  readonly gates?: readonly string[] | undefined;
}

/** A bias of a recurrent layer. */
export interface FoundBias {
  readonly from: FileTensor;
  /** Where it begins in `from`, in numbers. */
  readonly start: number;
}

/** The tensors of one direction of a recurrent layer with G gates. */
export interface FoundDirection {
  readonly W_x: FileTensor;
  readonly W_h: FileTensor;
  /** (G H) of x W_x. */
  readonly b?: FoundBias | undefined;
  /** (G H) of h W_h. */
  readonly b_h?: FoundBias | undefined;
  /** (H): all of b_h that a GRU with reset after does not add to b. Never beside b_h. */
  readonly b_hn?: FoundBias | undefined;
}

/** A batch normalisation: scale = weight / √(variance + eps), offset = bias - mean ∘ scale. */
export interface FoundNorm {
  readonly mean: FileTensor;
  readonly variance: FileTensor;
  /** Ones if absent. */
  readonly weight?: FileTensor | undefined;
  /** Zeros if absent. */
  readonly bias?: FileTensor | undefined;
  readonly eps: number;
}

export interface FoundEmbedding {
  readonly type: 'embedding';
  readonly E: FileTensor;
}

export interface FoundAffine {
  readonly type: 'affine';
  readonly scale: FileTensor;
  readonly offset: FileTensor;
}

export interface FoundBatchNorm {
  readonly type: 'affine';
  readonly norm: FoundNorm;
}

export interface FoundDense {
  readonly type: 'dense';
  readonly activation: DenseActivation;
  readonly layout: Layout;
  readonly W: FileTensor;
  readonly b?: FileTensor | undefined;
}

export interface FoundRecurrent {
  readonly type: CellType;
  readonly direction: Direction;
  readonly layout: Layout;
  readonly weights: FoundDirection;
  readonly backward?: FoundDirection | undefined;
  /** Of an rnn. */
  readonly activation?: RnnActivation | undefined;
  /** Of a gru. */
  readonly reset?: Reset | undefined;
  /** The kind of layer, e.g. `a torch RNN`, if it has the same names with every activation and none is stated. */
  readonly unstated?: string | undefined;
}

export type FoundLayer = FoundEmbedding | FoundAffine | FoundBatchNorm | FoundDense | FoundRecurrent;

export function isFoundRecurrent(layer: FoundLayer): layer is FoundRecurrent {
  return layer.type in GATES;
}

/** Where each gate of ours stands among those of the file; undefined if they are in the same order. */
export function gateOrder(cell: CellType, { gates }: Layout): readonly number[] | undefined {
  return gates && GATES[cell].map((gate) => gates.indexOf(gate));
}

/** The cell of a matrix W_h: it has as many times H columns as the cell has gates. Undefined if no cell has so many. */
export function cellOf({ tensor }: FileTensor, { isTransposed }: Layout): CellType | undefined {
  const { shape } = tensor;
  if (shape.length !== 2) return undefined;
  const [H, columns] = (isTransposed ? shape.toReversed() : shape) as [number, number];
  const cells = Object.keys(GATES) as CellType[];
  return H === 0 ? undefined : cells.find((cell) => GATES[cell].length * H === columns);
}

/** The axes of the tensors of a cell as they stand in the file. */
export function axesOf(cell: CellType, { isTransposed }: Layout): Record<'W_x' | 'W_h' | 'b', readonly string[]> {
  const columns = GATES[cell].length === 1 ? 'H' : `${GATES[cell].length}H`;
  return isTransposed
    ? { W_x: [columns, 'D'], W_h: [columns, 'H'], b: [columns] }
    : { W_x: ['D', columns], W_h: ['H', columns], b: [columns] };
}
