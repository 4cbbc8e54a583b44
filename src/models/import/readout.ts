// Which dense layer of a checkpoint is the readout y = h W_y + b_y. A projection in front of the RNN and an
// attention layer have the same kind of tensors, and may have a shape that fits. So a layer is used as the readout
// only if the client or the file states its path, or if its name is used for nothing else.
import { quote } from '../../codec/safetensors/quote.ts';
import type { Layer } from './layer.ts';
import type { UnclaimedTensors } from './unclaimed-tensors.ts';

/** The last part of the path of a torch Linear that is used as the readout without being stated. */
export const READOUT_NAMES = ['readout', 'head', 'out', 'output', 'lm_head', 'fc_out', 'classifier'];

type Readout = Pick<Layer, 'W_y' | 'b_y'>;

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
): Readout {
  const path = readout ?? certainReadout(tensors, rnnPath);
  if (path === undefined) return { W_y: undefined, b_y: undefined };
  const why = readout === undefined ? 'the bias of a Linear needs it' : whyRequired(readout);
  return {
    W_y: tensors.require(`${path}.weight`, 'OH', why),
    b_y: tensors.take(`${path}.bias`, 'O'),
  };
}

/**
 * Claims the Dense of a Keras checkpoint that is the readout. It may have an activation of its own, so it
 * is used only if its path was stated.
 *
 * @throws unknown_tensors
 */
export function claimDense(tensors: UnclaimedTensors, readout: string | undefined): Readout {
  if (readout === undefined) return { W_y: undefined, b_y: undefined };
  const separator = tensors.has(`${readout}.kernel`) ? '.' : '/';
  const firstOf = (names: readonly string[]) =>
    names.map((name) => `${readout}${separator}${name}`).find((name) => tensors.has(name));
  const W_y = firstOf(['kernel', 'vars/0', 'vars.0']) ?? `${readout}/kernel`;
  const b_y = firstOf(['bias', 'vars/1', 'vars.1']);
  return {
    W_y: tensors.require(W_y, 'HO', whyRequired(readout)),
    b_y: b_y === undefined ? undefined : tensors.take(b_y, 'O'),
  };
}

/**
 * Advice for the case that one of the unclaimed matrices is the readout, beginning with a space; empty if
 * no matrix is left.
 *
 * @param weight end of the name of such a matrix
 * @param layer what its layer is called
 */
export function adviceOnReadout(tensors: UnclaimedTensors, weight: RegExp, layer: string): string {
  const name = tensors.matching(weight).find((name) => tensors.shapeOf(name)?.length === 2);
  if (name === undefined) return '';
  const path = name.replace(weight, '');
  return (
    ` If ${quote(tensors.nameInFile(name))} is of the ${layer} that computes y from h, say so: add ` +
    `?readout=${encodeURIComponent(path.slice(0, 80))} to the address, or "readout" to the ` +
    '__metadata__ of the file. Layers in front of the RNN are not computed: apply them to x before ' +
    'the call, and save the file without them.'
  );
}

/** The only Linear with one of READOUT_NAMES in a module that contains the RNN. */
function certainReadout(tensors: UnclaimedTensors, rnnPath: string): string | undefined {
  const paths = tensors
    .matching(/\.(?:weight|bias)$/)
    .map((name) => name.slice(0, name.lastIndexOf('.')))
    .filter((path) => READOUT_NAMES.includes(path.slice(path.lastIndexOf('.') + 1)))
    .filter((path) => isWithin(rnnPath, path.slice(0, Math.max(0, path.lastIndexOf('.')))));
  return paths.every((path) => path === paths[0]) ? paths[0] : undefined;
}

function isWithin(path: string, module: string): boolean {
  return module === '' || path.startsWith(`${module}.`);
}

function whyRequired(readout: string): string {
  return `the readout is said to be ${quote(readout)}`;
}
