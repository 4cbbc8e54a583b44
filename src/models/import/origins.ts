// Which tensors of a file each tensor of a model is made of, in words, for the answer to a registration.
import { type CellType, GATES } from '../../layers.ts';
import { SHORT_NAMES } from '../../wasm/layer-tensors.ts';
import {
  type FileTensor,
  type FoundBias,
  type FoundDirection,
  type FoundLayer,
  type FoundRecurrent,
  type Layout,
  isFoundRecurrent,
} from './layer.ts';

const NAME_CHARACTERS_MAX = 200;

/**
 * @param isShort whether the layers are a model in the short form
 * @returns for each of our tensors, e.g. `layers.1.W_x`, in the short form `W_x`, the names in the file
 */
export function originsOf(layers: readonly FoundLayer[], isShort: boolean): Record<string, string> {
  const entries = layers.flatMap((layer, k) =>
    originsOfLayer(layer).map(([name, origin]) => [`layers.${k}.${name}`, origin] as const),
  );
  return Object.fromEntries(entries.map(([name, origin]) => [isShort ? SHORT_NAMES[name]! : name, origin]));
}

type Origin = [name: string, origin: string];

function originsOfLayer(layer: FoundLayer): Origin[] {
  if (isFoundRecurrent(layer)) {
    const { weights, backward } = layer;
    const ofBackward = backward ? originsOfDirection(backward, layer) : [];
    const named = ofBackward.map(([name, origin]): Origin => [`backward.${name}`, origin]);
    return [...originsOfDirection(weights, layer), ...named];
  }
  switch (layer.type) {
    case 'embedding':
      return [['E', nameOf(layer.E)]];
    case 'affine': {
      if (!('norm' in layer)) return [['scale', nameOf(layer.scale)], ['offset', nameOf(layer.offset)]];
      const { mean, variance, weight, bias } = layer.norm;
      const from = (...tensors: (FileTensor | undefined)[]) => {
        const names = tensors.flatMap((tensor) => (tensor ? [nameOf(tensor)] : []));
        return `${names.join(', ')} (folded)`;
      };
      return [['scale', from(weight, variance)], ['offset', from(bias, mean, weight, variance)]];
    }
    case 'dense':
      return [['W', matrix(layer.W, layer.layout)], ...originOf('b', layer.b && nameOf(layer.b))];
  }
}

/** Two biases are named apart where they are not only added. */
function originsOfDirection(
  { W_x, W_h, b, b_h, b_hn }: FoundDirection,
  { type, reset, layout }: FoundRecurrent,
): Origin[] {
  const [input, hidden, own] = [b, b_h, b_hn].map((bias) => bias && biasOrigin(bias, type, layout));
  const isApart = type === 'gru' && reset !== 'before';
  const biases = isApart
    ? [...originOf('b', input), ...originOf('b_h', hidden), ...originOf('b_hn', own)]
    : originOf('b', [input, hidden].filter((origin) => origin !== undefined).join(' + ') || undefined);
  return [['W_x', matrix(W_x, layout, type)], ['W_h', matrix(W_h, layout, type)], ...biases];
}

function originOf(name: string, origin: string | undefined): Origin[] {
  return origin === undefined ? [] : [[name, origin]];
}

function biasOrigin({ from, start }: FoundBias, type: CellType, layout: Layout): string {
  const row = from.axes.length === 2 && from.axes[0] === '2' ? `[${start === 0 ? 0 : 1}]` : '';
  return `${nameOf(from)}${row}${gatesOf(type, layout)}`;
}

/** Which gates stand in another order, e.g. ` (z, r, n → r, z, n)`. */
function gatesOf(type: CellType, { gates }: Layout): string {
  return gates ? ` (${gates.join(', ')} → ${GATES[type].join(', ')})` : '';
}

/** @param type of a recurrent layer */
function matrix(tensor: FileTensor, layout: Layout, type?: CellType): string {
  return `${nameOf(tensor)}${layout.isTransposed ? ' (transposed)' : ''}${type ? gatesOf(type, layout) : ''}`;
}

/** Truncated: a name may have any length. */
function nameOf({ name }: FileTensor): string {
  return name.length > NAME_CHARACTERS_MAX ? `${name.slice(0, NAME_CHARACTERS_MAX)}…` : name;
}
