// The reference for sessions: calls applied one after another with the plain reference of src/wasm/reference/, and
// without src/sessions.
import type { Layer } from '../../src/layers.ts';
import { type ReferenceOutput, referenceModel } from '../../src/wasm/reference/model.ts';
import { type Row, type States, zeroStates } from './states.ts';

export interface Kept {
  readonly t: number;
  readonly states: States;
}

/** With N = 1. */
export interface State extends Kept {
  readonly keep: number;
  /** Oldest first, at most `keep`. */
  readonly past: readonly Kept[];
}

export type Effect =
  /** T rows; a step is a sequence of one. */
  | { readonly kind: 'advance'; readonly xs: readonly Row[] }
  | { readonly kind: 'put'; readonly states: States; readonly t: number | undefined }
  | { readonly kind: 'rewind'; readonly t: number };

export function firstState(layers: readonly Layer[], keep: number, states = zeroStates(layers)): State {
  return { t: 0, states, keep, past: [] };
}

/** The state after a call; undefined if the call must be refused. */
export function apply(layers: readonly Layer[], state: State, effect: Effect): State | undefined {
  switch (effect.kind) {
    case 'advance':
      return after(state, outputOf(layers, state.states, effect.xs), state.t + effect.xs.length);
    case 'put':
      return after(state, effect.states, effect.t ?? state.t);
    case 'rewind': {
      const index = state.past.findLastIndex(({ t }) => t === effect.t);
      if (index < 0) return undefined;
      return { ...state, ...state.past[index]!, past: state.past.slice(0, index) };
    }
  }
}

/** What the layers compute of T rows. */
export function outputOf(layers: readonly Layer[], { h, c }: States, xs: readonly Row[]): ReferenceOutput {
  const numbers = xs.flatMap((row) => [...row]);
  const x = xs[0] instanceof Uint32Array ? Uint32Array.from(numbers) : Float32Array.from(numbers);
  return referenceModel(layers, { T: xs.length, N: 1, x, h, c });
}

function after(state: State, { h, c }: States, t: number): State {
  const past = [...state.past, { t: state.t, states: state.states }];
  return { ...state, states: { h, c }, t, past: state.keep === 0 ? [] : past.slice(-state.keep) };
}
