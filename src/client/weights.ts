// Weights as callers give them, in the fields of the service's JSON.
import type { TensorLike } from './tensor.ts';

/** Of one tanh layer: h_t = tanh(h_{t-1} W_h + x_t W_x + b). */
export interface Weights {
  /** (D, H) */
  readonly W_x: TensorLike;
  /** (H, H) */
  readonly W_h: TensorLike;
  /** (H); zeros if absent. */
  readonly b?: TensorLike;
}

/** y = h W_y + b_y, beside Weights. */
export interface Readout {
  /** (H, O) */
  readonly W_y: TensorLike;
  /** (O); zeros if absent. */
  readonly b_y?: TensorLike;
}

/** Of one direction of a recurrent layer with G gates, side by side: 1 of an rnn, 3 of a gru, 4 of an lstm. */
export interface DirectedWeights {
  /** (D, G H) */
  readonly W_x: TensorLike;
  /** (H, G H) */
  readonly W_h: TensorLike;
  /** (G H); zeros if absent, as is b_h. */
  readonly b?: TensorLike;
  readonly b_h?: TensorLike;
}

interface RecurrentLayer extends DirectedWeights {
  /** forward if absent */
  readonly direction?: 'forward' | 'reverse' | 'bidirectional';
  /** Of the reverse direction of a bidirectional layer. */
  readonly backward?: DirectedWeights;
}

export type Layer =
  | { readonly type: 'embedding'; /** (V, D) */ readonly E: TensorLike }
  | { readonly type: 'affine'; /** (D), as offset */ readonly scale: TensorLike; readonly offset: TensorLike }
  | {
      readonly type: 'dense';
      /** (I, O) */
      readonly W: TensorLike;
      /** (O) */
      readonly b?: TensorLike;
      readonly activation?: 'linear' | 'relu' | 'tanh' | 'sigmoid' | 'softmax';
    }
  | (RecurrentLayer & { readonly type: 'rnn'; readonly activation?: 'tanh' | 'relu' })
  | (RecurrentLayer & { readonly type: 'gru'; readonly reset?: 'after' | 'before' })
  | (RecurrentLayer & { readonly type: 'lstm' });

/** A model: at least one recurrent layer, and what is in front of it and behind it. */
export interface Layers {
  readonly layers: readonly Layer[];
}

/** Where a computation takes its weights from: the name or id of a registered model, or the request itself. */
export type ModelSource =
  | { readonly model: string; readonly weights?: never }
  | { readonly weights: Weights | Layers; readonly model?: never };
