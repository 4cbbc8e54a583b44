// What the service answers with besides tensors, as it stands in its JSON; /docs of the service describes each field.

import { unreadable } from './problem.ts';

export type Layout = 'TND' | 'NTD';
export type Output = 'hs' | 'h' | 'c' | 'ys' | 'y';

/** A layer without its weights. */
export interface LayerInfo {
  readonly type: 'embedding' | 'affine' | 'dense' | 'rnn' | 'gru' | 'lstm';
  /** Rows of an embedding. */
  readonly V?: number;
  /** Inputs; of an embedding its outputs. */
  readonly D?: number;
  /** Hidden units of one direction. */
  readonly H?: number;
  /** Inputs and outputs of a dense layer. */
  readonly I?: number;
  readonly O?: number;
  readonly direction?: 'forward' | 'reverse' | 'bidirectional';
  readonly activation?: 'linear' | 'relu' | 'tanh' | 'sigmoid' | 'softmax';
  readonly reset?: 'after' | 'before';
}

export interface ModelInfo {
  /** `sha256:…` of the layers and their weights: the same model, the same id. */
  readonly id: string;
  /** Names that point to it, oldest first. */
  readonly names: readonly string[];
  /** Inputs; 1 if the first layer is an embedding. */
  readonly D: number;
  /** Outputs of the last recurrent layer. */
  readonly H: number;
  /** Outputs of the layers behind it, if there are any. */
  readonly O?: number;
  /** Of a model of one tanh layer. */
  readonly activation?: 'tanh';
  /** Of any other model. */
  readonly layers?: readonly LayerInfo[];
  /** Of a file that was registered: which of its tensors each tensor of the model was made from. */
  readonly tensors?: Readonly<Record<string, string>>;
  /** Of a file of ONNX or Keras: what the service does otherwise than the file, in sentences. */
  readonly notes?: readonly string[];
  /** Packed, in memory. */
  readonly bytes: number;
  readonly created_at: string;
}

/** The state at which a session is after a call. */
export interface SessionMark {
  readonly id: string;
  /** Steps taken. */
  readonly t: number;
  /** Changes of the state. */
  readonly version: number;
  /** A fingerprint of the bits of the state. */
  readonly digest: string;
  readonly expires_at: string;
}

export interface SessionInfo extends SessionMark {
  /** Id of the model; it stays the same when names move. */
  readonly model: string;
  readonly N: number;
  readonly D: number;
  readonly H: number;
  /** Which bits the kernels compute that computed the state. */
  readonly numerics?: number;
  /** Idle lifetime in seconds. */
  readonly ttl_s: number;
  /** How many past states are kept. */
  readonly keep: number;
  readonly created_at: string;
}

/** @throws CarryoverError unreadable_answer if it is none */
export function markOf(value: unknown): SessionMark {
  const { id, t, version } = (value ?? {}) as Record<string, unknown>;
  if (typeof id !== 'string' || typeof t !== 'number' || typeof version !== 'number') {
    throw unreadable('an answer whose session has no id, t and version');
  }
  return value as SessionMark;
}

/** @throws CarryoverError unreadable_answer if it is none */
export function infoOf(value: unknown): SessionInfo {
  const mark = markOf(value);
  if (!('model' in mark)) throw unreadable('an answer whose session has no model');
  return mark as SessionInfo;
}
