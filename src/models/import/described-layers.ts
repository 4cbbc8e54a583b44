// The layers of a file as its description lists them, each with its tensors in the convention that has them.
import { quote } from '../../codec/safetensors/quote.ts';
import { type CarryoverError, invalidRequest } from '../../errors.ts';
import { canonicalPrefix } from './canonical-name.ts';
import type { Convention } from './convention.ts';
import type { DescribedLayer } from './description.ts';
import type { FoundLayer } from './layer.ts';
import type { LayerSizes } from './layer-shapes.ts';
import { listNames, refusal } from './refusal.ts';
import type { UnclaimedTensors } from './unclaimed-tensors.ts';

/** A layer with its entry of the description, which may be that of several layers of one module. */
export interface ClaimedLayer {
  readonly found: FoundLayer;
  readonly described: DescribedLayer;
}

/**
 * Claims the tensors of all described layers; none may be left.
 *
 * @throws unknown_tensors · layers_unconfirmed · activation_unconfirmed · invalid_request · shape_mismatch
 */
export function claimDescribed(
  tensors: UnclaimedTensors,
  description: readonly DescribedLayer[],
  conventions: readonly Convention[],
): ClaimedLayer[] {
  const layers = description.flatMap((described) => {
    const { claim } = conventionOf(tensors, described, conventions);
    return claim(tensors, described).map((found) => ({ found, described }));
  });
  tensors.expectNone('a description that names the layer of each tensor: these are of none of its layers');
  return layers;
}

/** Checks what the description says of sizes. @throws invalid_request */
export function expectSizes({ described }: ClaimedLayer, found: LayerSizes): void {
  const { place, sizes } = described;
  const letter = Object.keys(sizes).find((letter) => sizes[letter] !== found[letter]);
  if (letter === undefined) return;
  throw invalidRequest(
    `${place}.${letter} is ${sizes[letter]}, expected ${found[letter]}, which the tensors of the layer make it.`,
  );
}

/** @throws unknown_tensors if no convention has its tensors, or several */
function conventionOf(
  tensors: UnclaimedTensors,
  layer: DescribedLayer,
  conventions: readonly Convention[],
): Convention {
  const named = [...layer.tensors.keys(), ...layer.backward.keys()];
  const possible = conventions.filter(({ roles }) => named.every((role) => roles[layer.type].includes(role)));
  if (possible.length === 0) throw mixedRoles(layer, named);
  const found = possible.filter(({ has }) => has(tensors, layer));
  if (found.length === 1) return found[0]!;
  if (found.length > 1) throw severalFound(layer, found);
  throw noneFound(tensors, layer, possible);
}

function mixedRoles({ place, type }: DescribedLayer, named: readonly string[]): CarryoverError {
  return invalidRequest(
    `${place} names tensors as ${listNames(named)}, expected the tensors of a layer of type ${type} as one of torch, ` +
      'Keras and this server calls them.',
  );
}

function severalFound(layer: DescribedLayer, found: readonly Convention[]): CarryoverError {
  const names = found.map(({ title, keyOf }) => `${quote(tensorOf(layer, keyOf(layer.type)))} (${title})`);
  const message = `${layer.place} may be ${names.join(' or ')}, and the file has both: expected one of them.`;
  return refusal('unknown_tensors', [layer.name ?? layer.place], message);
}

function noneFound(tensors: UnclaimedTensors, layer: DescribedLayer, possible: readonly Convention[]): CarryoverError {
  const { place, type, name } = layer;
  const expected = possible.map(({ title, keyOf }) => `${quote(tensorOf(layer, keyOf(type)))} (${title})`).join(' or ');
  const who = name === undefined ? `${place} (${type}) has no name` : `${place} (${type}) is said to be ${quote(name)}`;
  const message = `${who}: expected the tensor ${expected}. The file has ${listNames(tensors.names())}.`;
  return refusal('unknown_tensors', [name ?? place], message);
}

/** The name of a tensor at the path of a layer. @param key with the separator before it */
function tensorOf({ name, index }: DescribedLayer, key: string): string {
  const path = name ?? `layers.${index}`;
  return path === '' ? key.slice(1) : `${canonicalPrefix(path, key[0]!)}${key.slice(1)}`;
}
