// The error that all stores throw for a session, or a name, whose model is not in the store.
import { CarryoverError } from '../errors.ts';

/** @param id of the model that is missing */
export function modelNotFound(id: string): CarryoverError {
  return new CarryoverError('model_not_found', {
    detail: `The store has no model ${id}; register it with POST /v1/models.`,
  });
}
