// Errors about models that more than one file answers with.
import { CarryoverError } from '../errors.ts';

/** @param ref a name or an id, as the request has it; the same where only other tenants have registered it */
export function modelNotFound(ref: string): CarryoverError {
  return new CarryoverError('model_not_found', {
    detail: `There is no model ${JSON.stringify(ref.slice(0, 100))}; GET /v1/models lists all.`,
  });
}

/** By sessions of the tenant that asks: those of others are not spoken of. */
export function modelPinned(id: string): CarryoverError {
  return new CarryoverError('model_pinned', {
    detail: `Sessions are pinned to model ${id}; GET /v1/sessions?model=${id} lists them.`,
  });
}

export function offeredByServer(id: string): CarryoverError {
  return new CarryoverError('built_in_model', {
    detail: `Model ${id} is offered to all tenants by this server: it can be neither moved nor deleted.`,
  });
}
