// The errors of a file of torch.save: what is wrong, or what it has that is not read.
import { CarryoverError } from '../../errors.ts';

/** torch 2.6 and newer load nothing but tensors unless weights_only is False, and then run what the file says. */
const LOAD = 'torch.load("model.pt", weights_only=False)';

/** What to run in Python to have the tensors alone in a file: an expression for the state dict. */
const resave = (stateDict: string) => `import torch; torch.save(${stateDict}, "weights.pt")`;

/** For a whole module, and for a dict whose other values are not read. */
const OF_MODULE = `In Python, if you trust the file: \`${resave(`${LOAD}.state_dict()`)}\`, and of a dict its entry with the ` +
  'tensors, e.g. `["state_dict"]`, in place of `.state_dict()`';

/** For TorchScript, which torch.load does not load if it loads nothing but tensors. */
export const OF_SCRIPT = `In Python: \`${resave('torch.jit.load("model.pt").state_dict()')}\``;

/** For a dict that has the state dict in this entry. */
export function ofEntry(key: string): string {
  return `In Python, if you trust the file: \`${resave(`${LOAD}[${JSON.stringify(key)}]`)}\``;
}

/** For a dict of tensors and other values. */
export const OF_TENSORS_ALONE =
  'In Python, if you trust the file: ' +
  `\`${resave(`{name: value for name, value in ${LOAD}.items() if torch.is_tensor(value)}`)}\``;

/** The file breaks the format. */
export function malformed(what: string): CarryoverError {
  return new CarryoverError('malformed_model_file', { detail: `The file of torch.save ${what}.` });
}

/**
 * The file is whole, but has something that is not read.
 *
 * @param remedy a sentence without its full stop
 */
export function notRead(what: string, remedy = OF_MODULE): CarryoverError {
  return new CarryoverError('model_file_unsupported', {
    detail: `The file of torch.save ${what}. Expected the state_dict() of a module, in the zip format. ${remedy}.`,
  });
}
