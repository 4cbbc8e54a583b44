// Which dense layer of a checkpoint is the readout y = h W_y + b_y, without a description. A projection in front of the
// RNN and an attention layer have the same kind of tensors, and may have a shape that fits. So a layer is used as the
// readout only if the client or the file states its path, or if its name is used for nothing else.
import { quote } from '../../codec/safetensors/quote.ts';
import { canonicalPrefix } from './canonical-name.ts';
import type { FoundDense, Layout } from './layer.ts';
import { type DescribedModule, adviceToDescribe } from './stated.ts';
import type { UnclaimedTensors } from './unclaimed-tensors.ts';

/** The last part of the path of a torch Linear that is used as the readout without being stated. */
export const READOUT_NAMES = ['readout', 'head', 'out', 'output', 'lm_head', 'fc_out', 'classifier'];

/**
 * Claims the Linear of a torch checkpoint that is the readout, if there is one.
 *
 * @param rnnPath prefix of the names of the recurrent layer
 * @param readout its path, if it was stated
 * @throws unknown_tensors
 */
export function claimLinear(
  tensors: UnclaimedTensors,
  rnnPath: string,
  readout: string | undefined,
  layout: Layout,
): FoundDense[] {
  const path = readout ?? certainReadout(tensors, rnnPath);
  if (path === undefined) return [];
  const prefix = canonicalPrefix(path, '.');
  const why = readout === undefined ? WHY_WEIGHT : whyRequired(readout);
  const W = tensors.require(`${prefix}weight`, ['O', 'I'], why);
  return [{ type: 'dense', activation: 'linear', layout, W, b: tensors.take(`${prefix}bias`, ['O']) }];
}

const WHY_WEIGHT =
  'the bias of a Linear needs it. If it shares the weight of the embedding, describe the layers in ?layers= and name ' +
  'that weight: {"type":"dense","name":"head","weight":"embedding.weight"}';

/**
 * Claims the Dense of a Keras checkpoint that is the readout. It may have an activation of its own, so it
 * is used only if its path was stated.
 *
 * @throws unknown_tensors
 */
export function claimDense(tensors: UnclaimedTensors, readout: string | undefined, layout: Layout): FoundDense[] {
  if (readout === undefined) return [];
  const path = canonicalPrefix(readout, '.').slice(0, -1);
  const separator = tensors.has(`${path}.kernel`) ? '.' : '/';
  const firstOf = (names: readonly string[]) =>
    names.map((name) => `${path}${separator}${name}`).find((name) => tensors.has(name));
  const W_y = firstOf(['kernel', 'vars/0', 'vars.0']) ?? `${path}/kernel`;
  const b_y = firstOf(['bias', 'vars/1', 'vars.1']);
  const W = tensors.require(W_y, ['I', 'O'], whyRequired(readout));
  const b = b_y === undefined ? undefined : tensors.take(b_y, ['O']);
  return [{ type: 'dense', activation: 'linear', layout, W, b }];
}

/**
 * Advice for the case that one of the unclaimed matrices is the readout, beginning with a space; empty if
 * no matrix is left.
 *
 * @param weight end of the name of such a matrix
 * @param layer what its layer is called
 * @param modules the recurrent layers that were claimed
 */
export function adviceOnReadout(
  tensors: UnclaimedTensors,
  weight: RegExp,
  layer: string,
  modules: readonly DescribedModule[],
): string {
  const name = tensors.matching(weight).find((name) => tensors.shapeOf(name)?.length === 2);
  if (name === undefined) return ` ${adviceToDescribe(modules)}`;
  const path = name.replace(weight, '');
  return (
    ` If ${quote(tensors.nameInFile(name))} is of the ${layer} that computes y from h, say so: add ` +
    `?readout=${encodeURIComponent(path.slice(0, 80).toWellFormed())} to the address, or "readout" to the ` +
    `__metadata__ of the file. Else: ${adviceToDescribe(modules)}`
  );
}

/** The only Linear with one of READOUT_NAMES in a module that contains the RNN. */
function certainReadout(tensors: UnclaimedTensors, rnnPath: string): string | undefined {
  const paths = tensors
    .matching(/\.(?:weight|bias)$/)
    .map((name) => name.slice(0, name.lastIndexOf('.')))
    .filter((path) => READOUT_NAMES.includes(path.slice(path.lastIndexOf('.') + 1)))
    .filter((path) => isWithin(rnnPath, path));
  return paths.every((path) => path === paths[0]) ? paths[0] : undefined;
}

/** Whether a prefix of names is within the module that a layer is a part of. */
export function isWithin(rnnPath: string, layerPath: string): boolean {
  const module = layerPath.slice(0, Math.max(0, layerPath.lastIndexOf('.')));
  return module === '' || rnnPath.startsWith(`${module}.`);
}

function whyRequired(readout: string): string {
  return `the readout is said to be ${quote(readout)}`;
}
