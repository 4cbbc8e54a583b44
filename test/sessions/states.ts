// The states of a session with N = 1, and x of one step: random, in JSON, and as bytes.
import { createHash } from 'node:crypto';
import type { Layer } from '../../src/layers.ts';

/** One entry for each recurrent layer, in their order. */
export interface States {
  /** (H) each */
  readonly h: readonly Float32Array[];
  /** (H) each; undefined where the layer is no LSTM. */
  readonly c: readonly (Float32Array | undefined)[];
}

/** x of one step: D floats, or the number of a row of E. */
export type Row = Float32Array | Uint32Array;

/** Nested arrays of numbers, which a body has. */
type Nested = number | null | readonly Nested[];

export interface StatesJson {
  readonly h: Nested;
  readonly c?: Nested | undefined;
}

/** @param random numbers in [-1, 1) */
export function randomStates(layers: readonly Layer[], random: () => number): States {
  const floats = (H: number, scale: number) => Float32Array.from({ length: H }, () => random() * scale);
  return statesFrom(layers, (H) => floats(H, 1), (H) => floats(H, 2));
}

export function zeroStates(layers: readonly Layer[]): States {
  const zeros = (H: number) => new Float32Array(H);
  return statesFrom(layers, zeros, zeros);
}

function statesFrom(
  layers: readonly Layer[],
  h: (H: number) => Float32Array,
  c: (H: number) => Float32Array,
): States {
  const recurrent = layers.filter((layer) => 'weights' in layer);
  return {
    h: recurrent.map(({ H }) => h(H)),
    c: recurrent.map(({ type, H }) => (type === 'lstm' ? c(H) : undefined)),
  };
}

/** @param random numbers in [-1, 1) */
export function randomRow([first]: readonly Layer[], random: () => number): Row {
  if (first!.type === 'embedding') return Uint32Array.of(Math.floor(((random() + 1) / 2) * first!.V));
  const D = first!.type === 'dense' ? first!.I : first!.D;
  return Float32Array.from({ length: D }, () => random() * 2);
}

/** (N, D), or (N) of row numbers. */
export function rowJson(row: Row): Nested {
  return row instanceof Uint32Array ? [...row] : [[...row]];
}

/** As requests have them: tensors of one recurrent layer, lists of several; c only where there is one. */
export function statesJson({ h, c }: States): StatesJson {
  const hasC = c.some((entry) => entry !== undefined);
  const hs = h.map((entry) => [[...entry]]);
  const cs = c.map((entry) => (entry ? [[...entry]] : null));
  return { h: hs.length === 1 ? hs[0]! : hs, ...(hasC && { c: cs.length === 1 ? cs[0]! : cs }) };
}

/** The opposite. @throws Error unless they are the states of these layers */
export function readStates(layers: readonly Layer[], { h, c }: StatesJson): States {
  const recurrent = layers.filter((layer) => 'weights' in layer);
  const listOf = (value: Nested | undefined) =>
    recurrent.length === 1 ? [value] : ((value ?? []) as readonly Nested[]);
  const [hs, cs] = [listOf(h), listOf(c)];
  return {
    h: recurrent.map(({ H }, k) => readState(hs[k], H)!),
    c: recurrent.map(({ type, H }, k) => readState(cs[k], type === 'lstm' ? H : 0)),
  };
}

/** @param H 0: there must be none */
function readState(value: Nested | undefined, H: number): Float32Array | undefined {
  const numbers = [value ?? []].flat(3) as number[];
  if (numbers.length !== H) throw new Error(`expected ${H} numbers, got ${JSON.stringify(value)}`);
  return H === 0 ? undefined : Float32Array.from(numbers);
}

/** Every h in the order of the layers, then every c. */
export function bytesOf({ h, c }: States): Buffer {
  const all = [...h, ...c.filter((entry) => entry !== undefined)];
  return Buffer.concat(all.map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength)));
}

/** As the API defines it: the first 16 hex digits of SHA-256 over the bytes of all states. */
export function digestOf(states: States): string {
  return createHash('sha256').update(bytesOf(states)).digest('hex').slice(0, 16);
}
