// The states of a request: h of every recurrent layer and direction, and c of those that have one.
//
//   one state        h (N, H), c (N, H)
//   several states   arrays with an entry for each, in the order of the layers, forward before reverse; null in c
//                    where a layer has none
import { type LayerSpec, type StateSlot, nameOfLayer, statesOf } from '../layers.ts';
import { type TensorSource, describeShape, formatShape } from '../tensor.ts';
import type { InitialStates } from '../wasm/job.ts';
import { shapeMismatch } from './expect-shape.ts';

/** A tensor (N, H), or a list of them. */
export type StatesSource = TensorSource | readonly (TensorSource | null)[];

export interface GivenStates {
  readonly h?: StatesSource | undefined;
  readonly c?: StatesSource | undefined;
}

/**
 * @param why clauses for the error: what N follows from, and in a model with one state what H follows from
 * @throws shape_mismatch unless the states are those of the layers
 */
export function expectStates(
  { h, c }: GivenStates,
  layers: readonly LayerSpec[],
  N: number,
  why: { readonly N: string; readonly H: string },
): void {
  if (!h && !c) return;
  const slots = statesOf(layers);
  if (h) expectList('h', h, slots, N, why);
  if (!c) return;
  if (!slots.some(({ hasC }) => hasC)) {
    throw shapeMismatch('c', 'The model has no cell state c: only layers of type lstm have one. Expected no c.');
  }
  expectList('c', c, slots, N, why);
}

/** The source of each state, in the order of a job's; undefined where it begins with zeros. */
export function sourcesOf(states: StatesSource | undefined): readonly (TensorSource | null)[] {
  if (!states) return [];
  return isList(states) ? states : [states];
}

/** @returns a promise if there is something to wait for */
type Copy = (source: TensorSource, target: Float32Array) => Promise<void> | undefined;

/**
 * Copies the states of a request to where they are used.
 *
 * @param copy as TensorCopier.copy
 * @returns a promise if `copy` does
 */
export function copyStates(
  { h, c }: GivenStates,
  targets: readonly InitialStates[],
  copy: Copy,
): Promise<void> | undefined {
  const copies: Parameters<Copy>[] = [];
  for (const [k, source] of sourcesOf(h).entries()) if (source) copies.push([source, targets[k]!.h]);
  for (const [k, source] of sourcesOf(c).entries()) if (source) copies.push([source, targets[k]!.c!]);
  return copyAll(copies, copy);
}

function copyAll(copies: readonly Parameters<Copy>[], copy: Copy): Promise<void> | undefined {
  for (const [k, [source, target]] of copies.entries()) {
    const copied = copy(source, target);
    if (copied) return copied.then(() => copyAll(copies.slice(k + 1), copy));
  }
  return undefined;
}

export function isList(states: StatesSource): states is readonly (TensorSource | null)[] {
  return Array.isArray(states);
}

function expectList(
  name: 'h' | 'c',
  states: StatesSource,
  slots: readonly StateSlot[],
  N: number,
  why: { readonly N: string; readonly H: string },
): void {
  if (slots.length === 1) {
    if (isList(states)) {
      const why = 'the model has one recurrent layer in one direction';
      throw shapeMismatch(name, `${name} is a list, expected one tensor (N, H), because ${why}.`);
    }
    const { H } = slots[0]!;
    return expectState(name, name, states, [N, H], () => `${why.N} and ${why.H} makes H = ${H}`);
  }
  if (!isList(states)) {
    throw shapeMismatch(name, `${name} has shape ${describeShape(states)}, expected a list of ${expectedList(slots)}.`);
  }
  if (states.length !== slots.length) {
    throw shapeMismatch(name, `${name} has ${states.length} entries, expected ${expectedList(slots)}.`);
  }
  for (const [k, slot] of slots.entries()) {
    const [entry, title, place] = [states[k]!, `${name}[${k}]`, `${name}/${k}`];
    const { H, hasC } = slot;
    const isWanted = name === 'h' || hasC;
    if (isWanted && entry) {
      expectState(title, place, entry, [N, H], () => `${why.N} and ${nameOf(slot)} has H = ${H}`);
    } else if (isWanted) {
      const expected = `a tensor (N, H) = ${formatShape([N, H])} of ${nameOf(slot)}`;
      throw shapeMismatch(place, `${title} is null, expected ${expected}.`);
    } else if (entry) {
      throw shapeMismatch(place, `${title} is a tensor, expected null: ${nameOf(slot)} has no cell state c.`);
    }
  }
}

function expectState(
  title: string,
  place: string,
  state: TensorSource,
  expected: readonly number[],
  why: () => string,
): void {
  if (state.shape.every((size, axis) => size === expected[axis])) return;
  const found = `${title} has shape ${describeShape(state)}`;
  throw shapeMismatch(place, `${found}, expected ${formatShape(expected)}, because ${why()}.`);
}

function expectedList(slots: readonly StateSlot[]): string {
  return `${slots.length}, one for each recurrent layer and direction: ${slots.map(nameOf).join(', ')}`;
}

function nameOf({ layer, type, direction }: StateSlot): string {
  return direction === 'reverse' ? `${nameOfLayer(layer, type)} in reverse` : nameOfLayer(layer, type);
}
