// What a matrix on the page is called, and what it answers to.
import type { Texts } from '../texts/en.ts';
import type { Place } from './matrix.ts';

export interface MatrixOptions {
  readonly texts: Texts;
  /** `h_{t-1}`. */
  readonly name: string;
  /** `(N, H)`. */
  readonly shape: string;
  /** A word about it behind the shape. */
  readonly remark?: string;
  /** Numbers of this size get the full colour; larger ones raise it. */
  readonly max?: number;
  /** Called with undefined when no number is pointed at any more. */
  readonly onPoint?: (place: Place | undefined) => void;
  /** If given, numbers may be changed. */
  readonly onEdit?: (place: Place, value: number) => void;
  /** Whether all rows are the first one, as of a bias that is added to each row of a batch. */
  readonly isBroadcast?: boolean;
}
