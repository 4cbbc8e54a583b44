// The states of a session: what a request gives, what a computation begins with, and what it ends with.
import { CarryoverError } from '../errors.ts';
import { type LayerSpec, statesOf } from '../layers.ts';
import { type Session, type StateSizes, sizesOf, stateNumbersOf, viewsOf } from '../sessions/session.ts';
import { type TensorSource, sizeOf } from '../tensor.ts';
import type { InitialStates, StateViews } from '../wasm/job.ts';
import { shapeMismatch } from './expect-shape.ts';
import { copyRows } from './result.ts';
import { type GivenStates, copyStates, expectStates, sourcesOf } from './states.ts';

/** The model of a session, for the checks of its states. */
export interface StateModel {
  readonly layers: readonly LayerSpec[];
  /** For errors: `model …`. */
  readonly origin: string;
}

/** The sizes of the states of a model; undefined if there is one h and no c: a session then has only its H. */
export function stateSizes(layers: readonly LayerSpec[]): readonly StateSizes[] | undefined {
  const sizes = statesOf(layers).map(({ H, hasC }) => ({ H, hasC }));
  return sizes.length === 1 && !sizes[0]!.hasC ? undefined : sizes;
}

/** The rows of the states that a request gives; undefined if it gives none. */
export function rowsOf({ h, c }: GivenStates): number | undefined {
  const first = [...sourcesOf(h), ...sourcesOf(c)].find((source) => source !== null);
  return first && sizeOf(first, 'N');
}

/**
 * The states that a request gives, as a session keeps them; zeros where it gives none.
 *
 * @param because a clause for errors: what N follows from, `session … has N = 2`
 * @throws shape_mismatch unless they are those of the model · out_of_range
 */
export function readState(
  given: GivenStates,
  N: number,
  { layers, origin }: StateModel,
  because: string,
): Float32Array {
  expectStates(given, layers, N, { N: because, H: origin });
  const sizes = statesOf(layers);
  const state = new Float32Array(stateNumbersOf(N, sizes));
  // Of at most SESSION_STATE_NUMBERS_MAX numbers: copied here and now.
  void copyStates(given, viewsOf(N, sizes, state), (source, target) => {
    source.copyTo(target);
    return undefined;
  });
  return state;
}

/**
 * A state that replaces another has to be whole.
 *
 * @throws shape_mismatch if the model has a cell state and the request none
 */
export function expectWholeState({ c }: GivenStates, { layers, origin }: StateModel): void {
  if (c || !statesOf(layers).some(({ hasC }) => hasC)) return;
  throw shapeMismatch('c', `c is missing, expected the cell state beside h, because ${origin} has a layer of type lstm.`);
}

/** The states of a session as a computation begins with them. */
export function initialStates(session: Session): GivenStates {
  const { N, H, states, state } = session;
  // A step of a single h is the commonest call: it makes no views.
  if (!states) return { h: sourceOf('h', N, H, state) };
  const sizes = sizesOf(session);
  const views = viewsOf(N, sizes, state);
  const hs = views.map(({ h }, k) => sourceOf(`h/${k}`, N, sizes[k]!.H, h));
  const cs = views.map(({ c }, k) => (c ? sourceOf(`c/${k}`, N, sizes[k]!.H, c) : null));
  const c = sizes.some(({ hasC }) => hasC) ? cs : undefined;
  return sizes.length === 1 ? { h: hs[0]!, c: c?.[0] ?? undefined } : { h: hs, c };
}

function sourceOf(name: string, N: number, H: number, numbers: Float32Array): TensorSource {
  return { name, axes: 'NH', shape: [N, H], copyTo: (target) => target.set(numbers) };
}

/** A copy of the states that a computation has ended with: every h in the order of the layers, then every c. */
export function finalState(session: Session, final: readonly StateViews[]): Float32Array {
  const state = new Float32Array(stateNumbersOf(session.N, sizesOf(session)));
  let end = 0;
  for (const { h } of final) end = copyRows(h, state, end);
  for (const { c } of final) if (c) end = copyRows(c, state, end);
  return state;
}

/** Writes the states of a session to rows of a mini-batch of several sessions, from row `first` on. */
export function copyStatesToRows(session: Session, targets: readonly InitialStates[], first: number): void {
  const { N, state } = session;
  let end = 0;
  const copy = (target: Float32Array, H: number) => {
    for (let i = first * H; i < (first + N) * H; i++) target[i] = state[end++]!;
  };
  const sizes = sizesOf(session);
  for (const [k, { H }] of sizes.entries()) copy(targets[k]!.h, H);
  for (const [k, { H, hasC }] of sizes.entries()) if (hasC) copy(targets[k]!.c!, H);
}

/** @throws limit_exceeded */
export function expectStateFits(N: number, layers: readonly LayerSpec[], rowsMax: number, numbersMax: number): void {
  const numbers = stateNumbersOf(N, statesOf(layers));
  const limit =
    N > rowsMax
      ? `N is ${N}; this server accepts at most ${rowsMax} (N_MAX).`
      : numbers > numbersMax
        ? `The states of N = ${N} rows have ${numbers} numbers; at most ${numbersMax} are kept ` +
          '(SESSION_STATE_NUMBERS_MAX).'
        : undefined;
  if (limit === undefined) return;
  throw new CarryoverError('limit_exceeded', { detail: limit, errors: [{ pointer: '/N', message: limit }] });
}
