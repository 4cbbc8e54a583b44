// The intermediate values of a computation.
import { type NestedArray, Tensor } from './tensor.ts';

/** Of a model of one tanh layer; of a sequence each tensor has an axis T in front. */
export interface TanhTrace {
  /** (N, H) */
  readonly h_W_h: Tensor;
  readonly x_W_x: Tensor;
  /** (x_W_x + h_W_h) + b */
  readonly z: Tensor;
  readonly layers?: never;
}

/** Of any other model: an entry for each recurrent layer and direction. */
export interface LayersTrace {
  readonly layers: readonly GateTrace[];
}

/** Gates by name: h of an rnn; r, z, n of a gru; i, f, g, o of an lstm. */
export interface GateTrace {
  /** Index of the layer in the model. */
  readonly layer: number;
  readonly direction: 'forward' | 'reverse';
  /** Pre-activations, (N, H) each. */
  readonly z: Readonly<Record<string, Tensor>>;
  readonly values: Readonly<Record<string, Tensor>>;
}

export type Trace = TanhTrace | LayersTrace;

/** @throws RangeError · TypeError if it is none */
export function traceOfJson(value: unknown): Trace {
  const { layers, h_W_h, x_W_x, z } = value as Record<string, unknown>;
  if (Array.isArray(layers)) return { layers: layers.map(gatesOfJson) };
  return { h_W_h: tensorOf(h_W_h), x_W_x: tensorOf(x_W_x), z: tensorOf(z) };
}

function gatesOfJson(value: unknown): GateTrace {
  const { layer, direction, z, values } = value as GateTrace;
  return { layer, direction, z: tensorsOf(z), values: tensorsOf(values) };
}

function tensorsOf(gates: object): Record<string, Tensor> {
  return Object.fromEntries(Object.entries(gates).map(([gate, value]) => [gate, tensorOf(value)]));
}

function tensorOf(value: unknown): Tensor {
  return Tensor.from(value as NestedArray);
}
