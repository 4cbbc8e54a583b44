// Checks that the layers of a request fit together and are within the limits. Every error names the layer, the
// tensor, its shape, the expected shape and what that follows from.
import { CarryoverError, invalidRequest } from '../errors.ts';
import {
  GATES,
  type LayerSource,
  type LayerSpec,
  type RecurrentSource,
  type RecurrentSpec,
  isRecurrent,
  nameOfLayer,
  outputsOf,
} from '../layers.ts';
import { type TensorSource, formatShape } from '../tensor.ts';
import { type ResolvedModel, describeAxes } from './model-source.ts';

/** Float32 represents every integer up to here. */
export const TOKENS_MAX = 2 ** 24;

/** Largest sizes of a layer. */
export interface LayerLimits {
  /** Inputs of a layer, and columns of an embedding. */
  readonly D: number;
  /** Hidden units, and outputs of a dense layer. */
  readonly H: number;
  /** Rows of an embedding. */
  readonly V: number;
}

/** A layer whose tensors are checked. */
interface Place {
  readonly index: number;
  readonly type: LayerSource['type'];
  /** Outputs of the layer before it. */
  readonly before: { readonly size: number; readonly origin: string } | undefined;
}

/**
 * The layers without their weights.
 *
 * @throws shape_mismatch · limit_exceeded · invalid_request if an embedding is not the first layer, no layer is
 *   recurrent, or the weights of a direction are missing
 */
export function resolveLayers(sources: readonly LayerSource[], limits: LayerLimits): ResolvedModel {
  const specs: LayerSpec[] = [];
  for (const [index, source] of sources.entries()) {
    const last = specs.at(-1);
    const place = { index, type: source.type, before: last && outputsBefore(index, last) };
    specs.push(resolveLayer(source, place, limits));
  }
  if (!specs.some((spec) => isRecurrent(spec))) {
    throw invalidRequest('Expected at least one layer of type rnn, gru or lstm, got none.', '/layers');
  }
  return { layers: specs, sources, origin: nameOfLayer(0, specs[0]!.type) };
}

function outputsBefore(index: number, layer: LayerSpec) {
  const size = outputsOf(layer);
  return { size, origin: `${nameOfLayer(index - 1, layer.type)} has ${size} outputs` };
}

function resolveLayer(source: LayerSource, place: Place, limits: LayerLimits): LayerSpec {
  switch (source.type) {
    case 'embedding': {
      const { index } = place;
      if (index > 0) {
        throw invalidRequest(
          `${nameOfLayer(index, 'embedding')} reads row numbers, which only x has: expected an embedding as the ` +
            'first layer only.',
          `/layers/${index}/type`,
        );
      }
      const [V, D] = source.E.shape as [number, number];
      expectLimit(place, source.E, 'V', V, limits);
      expectLimit(place, source.E, 'D', D, limits);
      return { type: 'embedding', V, D };
    }
    case 'affine': {
      const { scale, offset } = source;
      const [D] = scale.shape as [number];
      expectInputs(place, scale, ['D'], D);
      expectShape(place, offset, ['D'], [D], `scale makes D = ${D}`);
      expectLimit(place, scale, 'D', D, limits);
      return { type: 'affine', D };
    }
    case 'dense': {
      const { W, b, activation } = source;
      const [I, O] = W.shape as [number, number];
      expectInputs(place, W, ['I', 'O'], I);
      if (b) expectShape(place, b, ['O'], [O], `W ${describeAxes(['I', 'O'], W.shape)} makes O = ${O}`);
      expectLimit(place, W, 'D', I, limits, 'I');
      expectLimit(place, W, 'H', O, limits, 'O');
      return { type: 'dense', I, O, activation };
    }
    default:
      return resolveRecurrent(source, place, limits);
  }
}

function resolveRecurrent(
  source: Extract<LayerSource, { direction: unknown }>,
  place: Place,
  limits: LayerLimits,
): RecurrentSpec {
  const { direction, weights, backward } = source;
  const sizes = resolveDirection(weights, place, limits);
  expectDirections(place, direction === 'bidirectional', backward !== undefined);
  if (backward) expectSameSizes(place, weights, backward, resolveDirection(backward, place, limits), sizes);
  switch (source.type) {
    case 'rnn':
      return { type: 'rnn', activation: source.activation, direction, ...sizes };
    case 'gru':
      return { type: 'gru', reset: source.reset, direction, ...sizes };
    case 'lstm':
      return { type: 'lstm', direction, ...sizes };
  }
}

/** D and H, which follow from W_x: its columns are those of all gates. */
function resolveDirection({ W_x, W_h, b, b_h }: RecurrentSource, place: Place, limits: LayerLimits) {
  const gates = GATES[place.type as keyof typeof GATES];
  const columnsAxis = gates.length === 1 ? 'H' : `${gates.length}H`;
  const [D, columns] = W_x.shape as [number, number];
  expectInputs(place, W_x, ['D', columnsAxis], D);
  if (columns % gates.length !== 0) {
    const why = `${gates.length} gates, ${gates.join(', ')}, of H columns each`;
    const found = `W_x has shape ${describeAxes(['D', columnsAxis], W_x.shape)}`;
    throw mismatch(place, W_x, `${found}, expected a multiple of ${gates.length} columns, because it has ${why}.`);
  }
  const H = columns / gates.length;
  const why = `W_x ${describeAxes(['D', columnsAxis], W_x.shape)} makes H = ${H}`;
  expectShape(place, W_h, ['H', columnsAxis], [H, columns], why);
  for (const bias of [b, b_h]) if (bias) expectShape(place, bias, [columnsAxis], [columns], why);
  expectLimit(place, W_x, 'D', D, limits);
  expectLimit(place, W_x, 'H', H, limits);
  return { D, H };
}

/** @throws shape_mismatch unless a layer has as many inputs as the layer before it has outputs */
function expectInputs(place: Place, tensor: TensorSource, axes: readonly string[], inputs: number): void {
  const { before } = place;
  if (!before || inputs === before.size) return;
  expectShape(place, tensor, axes, tensor.shape.with(0, before.size), before.origin);
}

function expectShape(
  place: Place,
  tensor: TensorSource,
  axes: readonly string[],
  expected: readonly number[],
  why: string,
): void {
  const { shape } = tensor;
  if (shape.length === expected.length && shape.every((size, axis) => size === expected[axis])) return;
  const found = `${fieldOf(tensor)} has shape ${describeAxes(axes, shape)}`;
  throw mismatch(place, tensor, `${found}, expected ${formatShape(expected)}, because ${why}.`);
}

function expectSameSizes(
  place: Place,
  { W_x }: RecurrentSource,
  { W_x: backwardW_x }: RecurrentSource,
  found: { readonly H: number },
  { D, H }: { readonly D: number; readonly H: number },
): void {
  const gates = GATES[place.type as keyof typeof GATES].length;
  const axes = ['D', gates === 1 ? 'H' : `${gates}H`];
  const why = `W_x of the forward direction ${describeAxes(axes, W_x.shape)} makes D = ${D} and H = ${H}`;
  if (backwardW_x.shape[0] !== D || found.H !== H) expectShape(place, backwardW_x, axes, [D, gates * H], why);
}

/** @throws invalid_request unless the weights of the reverse direction are there if, and only if, there is one */
function expectDirections({ index, type }: Place, isWanted: boolean, isGiven: boolean): void {
  if (isWanted === isGiven) return;
  const message = isWanted
    ? 'backward is required, the weights of the reverse direction, because its direction is bidirectional.'
    : 'expected no backward, the weights of a reverse direction, unless its direction is bidirectional.';
  throw invalidRequest(`${nameOfLayer(index, type)}: ${message}`, `/layers/${index}/backward`);
}

/** @param axis as the layer calls the size that `limit` bounds */
function expectLimit(
  { index, type }: Place,
  tensor: TensorSource,
  limit: keyof LayerLimits,
  size: number,
  limits: LayerLimits,
  axis: string = limit,
): void {
  if (size <= limits[limit]) return;
  const message =
    `${nameOfLayer(index, type)}: ${axis} is ${size}; this server accepts at most ${limits[limit]} (${limit}_MAX).`;
  throw new CarryoverError('limit_exceeded', { detail: message, errors: [{ pointer: `/${tensor.name}`, message }] });
}

function mismatch({ index, type }: Place, tensor: TensorSource, what: string): CarryoverError {
  const message = `${nameOfLayer(index, type)}: ${what}`;
  return new CarryoverError('shape_mismatch', { detail: message, errors: [{ pointer: `/${tensor.name}`, message }] });
}

/** A tensor of the layer as its field is called: `W_x`, `backward.W_x`. */
function fieldOf({ name }: TensorSource): string {
  return name.split('/').slice(name.split('/').indexOf('layers') + 2).join('.');
}
