// The reference for sessions: calls applied one after another with the scalar reference of
// src/wasm/reference/step.ts, and without src/sessions.
import { createHash } from 'node:crypto';
import type { Weights } from '../../src/tensor.ts';
import { pseudoRandom } from '../../src/wasm/pseudo-random.ts';
import { referenceStep } from '../../src/wasm/reference/step.ts';

export interface Kept {
  readonly t: number;
  readonly h: Float32Array;
}

/** With N = 1. */
export interface State extends Kept {
  readonly keep: number;
  /** Oldest first, at most `keep`. */
  readonly past: readonly Kept[];
}

export type Effect =
  /** T rows of D; a step is a sequence of one. */
  | { readonly kind: 'advance'; readonly xs: readonly Float32Array[] }
  | { readonly kind: 'put'; readonly h: Float32Array; readonly t: number | undefined }
  | { readonly kind: 'rewind'; readonly t: number };

export function firstState(H: number, keep: number, h = new Float32Array(H)): State {
  return { t: 0, h, keep, past: [] };
}

/** The state after a call; undefined if the call must be refused. */
export function apply(weights: Weights, state: State, effect: Effect): State | undefined {
  switch (effect.kind) {
    case 'advance': {
      let { h } = state;
      for (const x of effect.xs) h = referenceStep(weights, x, h).state;
      return after(state, h, state.t + effect.xs.length);
    }
    case 'put':
      return after(state, effect.h, effect.t ?? state.t);
    case 'rewind': {
      const index = state.past.findLastIndex(({ t }) => t === effect.t);
      if (index < 0) return undefined;
      return { ...state, ...state.past[index]!, past: state.past.slice(0, index) };
    }
  }
}

function after(state: State, h: Float32Array, t: number): State {
  const past = [...state.past, { t: state.t, h: state.h }];
  return { ...state, h, t, past: state.keep === 0 ? [] : past.slice(-state.keep) };
}

/** As the API defines it: the first 16 hex digits of SHA-256 over the state's bytes. */
export function digestOf({ h }: Kept): string {
  return createHash('sha256').update(h).digest('hex').slice(0, 16);
}

export function randomWeights(D: number, H: number, seed: number): Weights {
  const random = pseudoRandom(seed);
  const fill = (count: number) =>
    Float32Array.from({ length: count }, () => random() / Math.sqrt(H));
  return { D, H, W_x: fill(D * H), W_h: fill(H * H), b: fill(H) };
}
