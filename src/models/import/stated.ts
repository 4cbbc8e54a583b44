// What a description states beside the names of tensors, against what the names and shapes tell.
import { quote } from '../../codec/safetensors/quote.ts';
import { CarryoverError, invalidRequest } from '../../errors.ts';
import type { Direction, Reset, RnnActivation } from '../../layers.ts';
import type { DescribedLayer, LayerType } from './description.ts';
import type { FoundBatchNorm } from './layer.ts';
import type { LayerTensors } from './layer-tensors.ts';
import { listNames, refusal } from './refusal.ts';

/** How the tensors of a batch normalisation are called. */
export interface NormRoles {
  readonly mean: string;
  readonly variance: string;
  readonly weight: string;
  readonly bias: string;
  /** It counts training steps, and nothing is computed from it. */
  readonly counter?: string;
}

/**
 * The activation of a layer whose names are the same with every activation.
 *
 * @param kind what it is, e.g. `a torch RNN`
 * @throws activation_unconfirmed unless it is stated
 */
export function statedActivation<A extends string>(
  { place, activation }: DescribedLayer,
  kind: string,
  values: readonly A[],
): A {
  if (activation !== undefined) return activation as A;
  throw new CarryoverError('activation_unconfirmed', {
    detail: `${place} has no activation, and ${kind} has the same tensors with each: expected ${listOf(values)}.`,
  });
}

export const statedRnnActivation = (layer: DescribedLayer, kind: string): RnnActivation =>
  statedActivation(layer, kind, ['tanh', 'relu']);

/** @param isBidirectional whether the file has tensors of both directions · @throws invalid_request if other is stated */
export function expectDirection({ place, direction }: DescribedLayer, isBidirectional: boolean): Direction {
  if (direction === undefined) return isBidirectional ? 'bidirectional' : 'forward';
  if ((direction === 'bidirectional') === isBidirectional) return direction;
  const found = isBidirectional ? 'both directions' : 'one direction';
  const expected = isBidirectional ? 'bidirectional, or nothing' : 'forward or reverse';
  throw invalidRequest(
    `${place}.direction is ${quote(direction)}, but the file has tensors of ${found}: expected ${expected}.`,
  );
}

/** @param found what the tensors tell, if they tell it · @throws invalid_request · layers_unconfirmed */
export function expectReset({ place, reset }: DescribedLayer, found: Reset | undefined, why: string): Reset {
  if (found === undefined) {
    if (reset !== undefined) return reset;
    const detail = `${place} has no reset, and ${why}: expected "after" or "before".`;
    throw new CarryoverError('layers_unconfirmed', { detail });
  }
  if (reset === undefined || reset === found) return found;
  throw invalidRequest(`${place}.reset is ${quote(reset)}, expected ${quote(found)}, because ${why}.`);
}

/**
 * A batch normalisation, whose eps no file has.
 *
 * @throws invalid_request unless eps is stated
 */
export function claimNorm(tensors: LayerTensors, { place, eps }: DescribedLayer, roles: NormRoles): FoundBatchNorm {
  if (eps === undefined) {
    throw invalidRequest(
      `${place} is a batch normalisation, whose eps is in no file: expected "eps", which is 0.00001 by default in torch ` +
        'and 0.001 in Keras.',
    );
  }
  const why = 'a batch normalisation has both a mean and a variance';
  const mean = tensors.require(roles.mean, ['D'], why);
  const variance = tensors.require(roles.variance, ['D'], why);
  const [weight, bias] = [tensors.take(roles.weight, ['D']), tensors.take(roles.bias, ['D'])];
  if (roles.counter !== undefined) tensors.take(roles.counter, []);
  return { type: 'affine', norm: { mean, variance, weight, bias, eps } };
}

/** @throws invalid_request if a tensor is named by itself that is found by the path of its layer only */
export function expectNoneNamed({ place, tensors, backward }: DescribedLayer, key: string): void {
  const [role] = [...tensors.keys(), ...[...backward.keys()].map((role) => `backward.${role}`)];
  if (role === undefined) return;
  throw invalidRequest(`${place} names a tensor as ${role}: expected then also ${key}, and all others that the layer has.`);
}

/** A layer of a file, as a description would have it. */
export interface DescribedModule {
  readonly type: LayerType;
  /** Its path. */
  readonly name: string;
}

/** A recurrent module whose place among others is not known. */
export interface UnorderedModule extends DescribedModule {
  /** One of its tensors, as the file spells it. */
  readonly tensor: string;
}

/** layers_unconfirmed: there are several recurrent modules. */
export function orderUnconfirmed(modules: readonly UnorderedModule[]): CarryoverError {
  const paths = modules.map(({ name }) => name);
  const message =
    `The file has the recurrent layers ${listNames(paths)}, and names do not tell in which order they are computed. ` +
    adviceToDescribe(modules);
  return refusal('layers_unconfirmed', modules.map(({ tensor }) => tensor), message);
}

const LAYERS_SHOWN_MAX = 4;

/**
 * A sentence that says how layers are described.
 *
 * @param modules of the layers: those of one module of torch are one entry, however many they are
 */
export function adviceToDescribe(modules: readonly DescribedModule[]): string {
  const entries = [...new Set(modules.map(({ type, name }) => `{"type":"${type}","name":${quote(name)}}`))];
  const shown = entries.slice(0, LAYERS_SHOWN_MAX);
  const more = entries.length > shown.length ? ',…' : '';
  return (
    `Describe all layers in their order: add ?layers=[${shown.join(',')}${more}] to the address, or "carryover.layers" ` +
    'with this JSON to the __metadata__ of the file.'
  );
}

function listOf(words: readonly string[]): string {
  return `${words.slice(0, -1).join(', ')} or ${words.at(-1)!}`;
}
