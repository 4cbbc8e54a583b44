// Which tensors of torch or Keras are the readout y = h W_y + b_y. A layer in front of the RNN and an
// attention layer have tensors of the same kind, and a shape that fits by chance, so only two things
// count: that somebody says it, or a name that is given to nothing else.
import { quote } from '../codec/safetensors/quote.ts';
import type { Layer } from './import-layer.ts';
import type { TensorsLeft } from './import-tensors.ts';

/** The last part of the name of a torch Linear that is taken for the readout without being asked. */
export const READOUT_NAMES = ['readout', 'head', 'out', 'output', 'lm_head', 'fc_out', 'classifier'];

type Readout = Pick<Layer, 'W_y' | 'b_y'>;

/** @throws unknown_tensors */
export function takeLinear(
  tensors: TensorsLeft,
  rnnPath: string,
  readout: string | undefined,
): Readout {
  const path = readout ?? certainReadout(tensors, rnnPath);
  if (path === undefined) return { W_y: undefined, b_y: undefined };
  const why = readout === undefined ? 'the bias of a Linear needs it' : whyNamed(readout);
  return {
    W_y: tensors.need(`${path}.weight`, 'OH', why),
    b_y: tensors.take(`${path}.bias`, 'O'),
  };
}

/**
 * A Dense may have an activation of its own, so it is the readout only if somebody says so.
 *
 * @throws unknown_tensors
 */
export function takeDense(tensors: TensorsLeft, readout: string | undefined): Readout {
  if (readout === undefined) return { W_y: undefined, b_y: undefined };
  const separator = tensors.has(`${readout}.kernel`) ? '.' : '/';
  const plain = (names: readonly string[]) =>
    names.map((name) => `${readout}${separator}${name}`).find((name) => tensors.has(name));
  const W_y = plain(['kernel', 'vars/0', 'vars.0']) ?? `${readout}/kernel`;
  const b_y = plain(['bias', 'vars/1', 'vars.1']);
  return {
    W_y: tensors.need(W_y, 'HO', whyNamed(readout)),
    b_y: b_y === undefined ? undefined : tensors.take(b_y, 'O'),
  };
}

/** What to do if one of the matrices that are left is the readout. It begins with a space, or is empty. */
export function adviceOn(tensors: TensorsLeft, weight: RegExp, layer: string): string {
  const name = tensors.matching(weight).find((left) => tensors.shapeOf(left)?.length === 2);
  if (name === undefined) return '';
  const path = name.replace(weight, '');
  return (
    ` If ${quote(tensors.spelled(name))} is of the ${layer} that computes y from h, say so: add ` +
    `?readout=${encodeURIComponent(path.slice(0, 80))} to the address, or "readout" to the ` +
    '__metadata__ of the file. Layers in front of the RNN are not computed: apply them to x before ' +
    'the call, and save the file without them.'
  );
}

/** The one Linear beside the RNN, or beside what it is in, that has one of the names. */
function certainReadout(tensors: TensorsLeft, rnnPath: string): string | undefined {
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

function whyNamed(readout: string): string {
  return `the readout is said to be ${quote(readout)}`;
}
