// The errors of a file of torch.save: what is wrong, or what it has that is not read.
import { CarryoverError } from '../../errors.ts';

const RESAVE =
  'In Python: `import torch; from safetensors.torch import save_file; ' +
  'save_file(torch.load("model.pt").state_dict(), "model.safetensors")`';

/** The file breaks the format. */
export function malformed(what: string): CarryoverError {
  return new CarryoverError('malformed_model_file', { detail: `The file of torch.save ${what}.` });
}

/** The file is whole, but has something that is not read. */
export function notRead(what: string): CarryoverError {
  return new CarryoverError('model_file_unsupported', {
    detail: `The file of torch.save ${what}. Expected the state_dict() of a module, in the zip format. ${RESAVE}.`,
  });
}
